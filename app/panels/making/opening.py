"""Opening a capsule with the recipient's secret (SPEC 5.4), and showing to everyone what it holds (SPEC 5.5)."""

from collections.abc import Sequence

from app.panels.capsule import check_box, unbox
from app.panels.contribution import AGGREGATE_BYTES, Aggregate, aggregate
from app.panels.errors import PanelError, need
from app.panels.group import Element, G, Scalar, dec_elem, dec_scalar
from app.panels.making.proof import prove
from app.panels.opening import opening_statement
from app.panels.request import Release


def open_capsule(
    release: Release, contributions: Sequence[bytes], *, sk: bytes, box: bytes, given_aggregate: bytes | None = None
) -> bytes:
    """The 32-byte file key, from exactly k contributions in ascending order; everything is verified here.

    Raises, in this order: scalar errors, `recipient_key_mismatch`, what `aggregate` does, for a given aggregate
    `bad_length`, element errors, `aggregate_mismatch`; `identity_result`, `bad_length`, `box_mismatch`, and
    `malformed_deposit`, which blames the depositor and nobody else.
    """
    _, sums = _sums(release, contributions, sk)
    if given_aggregate is not None:
        need(len(given_aggregate) == AGGREGATE_BYTES, "bad_length")
        given = (dec_elem(given_aggregate[:32]), dec_elem(given_aggregate[32:]))
        need(given == (sums.R, sums.E), "aggregate_mismatch")
    K = _shared_secret(sums, dec_scalar(sk))
    check_box(release.public, box)
    file_key = unbox(release.public, K, box)
    if file_key is None:
        raise PanelError("malformed_deposit")
    return file_key


def make_opening(release: Release, contributions: Sequence[bytes], *, sk: bytes, rnd: bytes) -> bytes:
    """The 96-byte public opening, from the same k contributions that will be recorded with it.

    It publishes the file key of this deposit. Raises what `open_capsule` does before the box, and
    `bad_length` for `rnd`.
    """
    secret, sums = _sums(release, contributions, sk)
    K = _shared_secret(sums, secret)
    return bytes(K) + prove(opening_statement(release, K, sums), [secret], rnd)


def _sums(release: Release, contributions: Sequence[bytes], sk: bytes) -> tuple[Scalar, Aggregate]:
    secret = dec_scalar(sk)
    need(secret * G == release.request.PK_R, "recipient_key_mismatch")
    return secret, aggregate(release, contributions)


def _shared_secret(sums: Aggregate, secret: Scalar) -> Element:
    K = sums.E - secret * sums.R
    need(not K.is_identity(), "identity_result")
    return K
