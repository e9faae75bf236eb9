"""Making the one proof (SPEC 3). Verifying stands in `app.panels.sigma`."""

from collections.abc import Sequence

from app.panels.errors import need
from app.panels.group import Scalar
from app.panels.hashing import H2S, u16
from app.panels.sigma import Statement, challenge, combine, prefix

RND_BYTES = 32


def prove(statement: Statement, secrets: Sequence[Scalar], rnd: bytes) -> bytes:
    """c ‖ z_1 ‖ … ‖ z_s for a true statement; `rnd` is 32 fresh bytes, else `bad_length`."""
    need(len(rnd) == RND_BYTES, "bad_length")
    joined = b"".join([bytes(secret) for secret in secrets])
    said = prefix(statement)
    nonces = [H2S("sigma-nonce/" + statement.tag, joined, rnd, u16(b), *said) for b in range(len(secrets))]
    c = challenge(statement, [combine(row, nonces) for row in statement.rows])
    answers = [nonce + c * secret for nonce, secret in zip(nonces, secrets, strict=True)]
    return bytes(c) + b"".join([bytes(answer) for answer in answers])
