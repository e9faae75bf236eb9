"""How a registry begins: keys → genesis → trust file and policy. Pure; writing and posting are the caller's.

The genesis is signed by the first registrar and pinned by its digest; the service takes no other first entry.
"""

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWitness:
    """A witness whose cosignature everybody will demand: a short name for the policy, its key, its submission URL."""

    name: str
    key: VerifierKey
    url: str


def format_policy(log: VerifierKey, witnesses: Sequence[KnownWitness]) -> str:
    """Return the C2SP policy that demands all of the witnesses, or none where there are none."""
    lines = [f"log {log.text}", *(f"witness {each.name} {each.key.text} {each.url}" for each in witnesses)]
    if not witnesses:
        return "\n".join([*lines, "quorum none", ""])
    names = " ".join(each.name for each in witnesses)
    return "\n".join([*lines, f"group witnesses all {names}", "quorum witnesses", ""])


def found(
    *,
    origin: str,
    registrar: Keys,
    authority: Authority,
    log_seed: bytes,
    service_seed: bytes,
    now: int,
    rng: Rng,
    witnesses: Sequence[KnownWitness] = (),
    predecessor: bytes | None = None,
    tsa: object = None,
    seal: object = None,
    headers: object = None,
) -> Founding:
    """Make genesis, trust file and policy. Seeds are 32 secret bytes; `now` Unix seconds. Raises BadInput.

    `tsa`, `seal` and `headers` are what the trust file says of time and of seals (`trust_time`, `trust_seal`).
    """
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
    policy = format_policy(VerifierKey(name=origin, type=KeyType.ED25519, public_key=log), witnesses)
    trust = format_trust(
        origin=origin,
        genesis=genesis.digest,
        authority=authority,
        policy_text=policy,
        tsa=tsa,
        seal=seal,
        headers=headers,
    )
    return Founding(genesis=genesis, trust=trust, policy=policy)
