"""A registry's beginning is one that every client can pin."""

import os

from app.client.founding import found
from app.client.home import Keys
from app.rules.replay import Entry, Replay
from app.statements.kinds import Authority
from app.statements.statement import Signer, leaf_of
from app.statements.trust import check_genesis, parse_trust


def test_the_genesis_is_the_one_that_its_trust_file_pins() -> None:
    registrar = Keys.generate("Registrar", os.urandom)
    authority = Authority(keys=tuple(Signer(os.urandom(32)).public for _ in range(3)), m=2)
    made = found(
        origin="ledger.example/court",
        registrar=registrar,
        authority=authority,
        log_seed=os.urandom(32),
        service_seed=os.urandom(32),
        now=1_800_000_000,
        rng=os.urandom,
    )
    trust = parse_trust(made.trust)
    assert trust.policy_text == made.policy
    check_genesis(trust, made.genesis)
    replay = Replay(origin=trust.origin, genesis=trust.genesis)
    replay.extend([Entry(index=0, leaf=leaf_of(made.genesis, 1_800_000_000), statement=made.genesis.text)])
