"""How a registry begins: keys → genesis → trust file and policy. Pure; writing and posting are the caller's.

The genesis is signed by the first registrar and pinned by its digest; the service takes no other first entry.
"""

from dataclasses import dataclass

from app.client.home import Keys
from app.sealing.header import Rng
from app.statements.kinds import Authority, Genesis, Officer
from app.statements.statement import EMPTY_SEEN, Signer, Statement
from app.statements.trust import format_trust
from ledger.note import KeyType, VerifierKey

VALID_SECONDS = 30 * 86_400
"""How long the genesis may wait for its posting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """What founds a registry: the genesis to post, the trust file and the C2SP policy to publish."""

    genesis: Statement
    trust: str
    policy: str


def found(
    *,
    origin: str,
    registrar: Keys,
    authority: Authority,
    log_seed: bytes,
    service_seed: bytes,
    now: int,
    rng: Rng,
    predecessor: bytes | None = None,
) -> Founding:
    """Make genesis, trust file and policy. Seeds are 32 secret bytes; `now` Unix seconds. Raises BadInput."""
    log = Signer(log_seed).public
    card = registrar.card
    claims = Genesis(
        origin=origin,
        log=log,
        service=Signer(service_seed).public,
        authority=authority,
        registrar=Officer(key=card.key, notes=card.notes, name=card.name),
        predecessor=predecessor,
    )
    genesis = registrar.signer.sign(claims, aud=origin, iat=now, exp=now + VALID_SECONDS, jti=rng(16), seen=EMPTY_SEEN)
    # No witness is demanded: a registry with witnesses writes them into its policy before it publishes the trust file.
    policy = f"log {VerifierKey(name=origin, type=KeyType.ED25519, public_key=log).text}\nquorum none\n"
    trust = format_trust(origin=origin, genesis=genesis.digest, authority=authority, policy_text=policy)
    return Founding(genesis=genesis, trust=trust, policy=policy)
