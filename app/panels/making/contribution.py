"""A judge's contribution (SPEC 5.2)."""

from app.panels.contribution import contribution_statement
from app.panels.errors import need
from app.panels.group import G, dec_scalar
from app.panels.hashing import H2S, u16
from app.panels.making.proof import RND_BYTES, prove
from app.panels.request import Release


def contribute(release: Release, *, index: int, x: bytes, requester: bytes, order_hash: bytes, rnd: bytes) -> bytes:
    """The 162 bytes of judge `index` with share `x` (32 bytes) and fresh `rnd` (32).

    `release` comes from `begin_release`, with the label recomputed from what the judge is shown; `requester` and
    `order_hash` come from the court order, never from the service. Raises, in this order: `requester_not_authorised`,
    `wrong_order`, `bad_index`, scalar errors, `share_mismatch`, `bad_length`.
    """
    request, record, public = release.request, release.record, release.public
    need(request.requester == requester, "requester_not_authorised")
    need(request.order_hash == order_hash, "wrong_order")
    need(1 <= index <= record.n, "bad_index")
    share = dec_scalar(x)
    need(share * G == record.shares[index - 1], "share_mismatch")
    need(len(rnd) == RND_BYTES, "bad_length")
    r = H2S("contribution/r", share, rnd, record.epoch_id, public.ct_hash, request.req_hash, u16(index))
    R, E = r * G, share * public.U + r * request.PK_R
    proof = prove(contribution_statement(release, index, R, E), [share, r], rnd)
    return u16(index) + bytes(R) + bytes(E) + proof
