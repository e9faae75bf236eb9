"""What the libraries beneath do wrong or leave open, and that this room does not: SPEC 2.2 and 2.6, RFC 9496, 9497."""

import hashlib

import pytest
import rbcl
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from app.panels.errors import MEANING, PanelError
from app.panels.group import IDENTITY, Element, G, L, dec_elem, dec_scalar, element_from_uniform, reduce_wide, scalar
from app.panels.hashing import expand_message_xmd
from app.panels.making.signature import public_key, signed
from app.panels.signing import good_key, signed_message, verify_signature
from tests.app.panels import edwards
from tests.app.panels.edwards import T8, B, encode, multiply

_INVALID = bytes.fromhex("f3" + "ff" * 30 + "7f")
_ZERO = bytes(32)


def _code(function: object, *arguments: bytes) -> str:
    with pytest.raises(PanelError) as caught:
        function(*arguments)  # type: ignore[operator]
    return caught.value.code


# ---- SPEC 2.2: when one of these fails, rbcl has changed and group.py must be read again --------------------------


def test_rbcl_adds_an_invalid_point_as_if_it_were_the_identity() -> None:
    assert rbcl.crypto_core_ristretto255_add(_INVALID, bytes(G)) == _ZERO
    assert rbcl.crypto_core_ristretto255_sub(bytes(G), _INVALID) == _ZERO
    assert _code(dec_elem, _INVALID) == "elem_invalid"


def test_rbcl_multiplies_by_scalars_that_are_not_canonical() -> None:
    point = rbcl.crypto_core_ristretto255_from_hash(bytes(range(64)))
    seven = (7).to_bytes(32, "little")
    for same in ((7 + L).to_bytes(32, "little"), (7 | 1 << 255).to_bytes(32, "little")):
        assert rbcl.crypto_scalarmult_ristretto255(same, point) == rbcl.crypto_scalarmult_ristretto255(seven, point)
        assert _code(dec_scalar, same) == "scalar_noncanonical"


def test_rbcl_gives_the_identity_for_an_invalid_point_where_zero_is_allowed() -> None:
    one = (1).to_bytes(32, "little")
    assert rbcl.crypto_scalarmult_ristretto255_allow_scalar_zero(one, _INVALID) == _ZERO


def test_rbcl_calls_the_identity_a_valid_point() -> None:
    assert rbcl.crypto_core_ristretto255_is_valid_point(_ZERO)
    assert _code(dec_elem, _ZERO) == "elem_identity"


def test_rbcl_ignores_the_highest_bit_of_an_element() -> None:
    second_identity = bytes(31) + b"\x80"
    assert rbcl.crypto_core_ristretto255_is_valid_point(second_identity)
    assert _code(dec_elem, second_identity) == "elem_invalid"
    second_generator = bytes(G)[:31] + bytes([bytes(G)[31] | 0x80])
    assert rbcl.crypto_core_ristretto255_is_valid_point(second_generator)
    assert _code(dec_elem, second_generator) == "elem_invalid"


# ---- ours ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "encoded"),
    [
        (0, "00" * 32),
        (1, "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"),
        (2, "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919"),
        (3, "94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259"),
        (5, "e882b131016b52c1d3337080187cf768423efccbb517bb495ab812c4160ff44e"),
    ],
)
def test_multiples_of_the_generator_are_those_of_rfc_9496(factor: int, encoded: str) -> None:
    summed = IDENTITY
    for _ in range(factor):
        summed = summed + G
    assert bytes(scalar(factor) * G).hex() == bytes(summed).hex() == encoded


@pytest.mark.parametrize(
    "encoded",
    [
        # RFC 9496 A.2: not canonical, negative, non-square x², negative xy, y = 0
        "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
        "c34c4e1826e5d403b78e246e88aa051c36ccf0aafebffe137d148a2bf9104562",
        "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
        "4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f",
        "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ],
)
def test_bad_encodings_of_rfc_9496_are_refused(encoded: str) -> None:
    assert _code(dec_elem, bytes.fromhex(encoded)) == "elem_invalid"


def test_hash_constructions_are_those_of_rfc_9497() -> None:
    """A.1.1.1, OPRF(ristretto255, SHA-512): the key by expand_message_xmd, the input by HashToGroup."""
    context = b"OPRFV1-\x00-ristretto255-SHA512"
    info = b"test key"
    derive_input = b"\xa3" * 32 + len(info).to_bytes(2, "big") + info + b"\0"
    key = reduce_wide(expand_message_xmd(derive_input, b"DeriveKeyPair" + context, 64))
    assert bytes(key).hex() == "5ebcea5ee37023ccb9fc2d2019f9d7737be85591ae8652ffa9ef0f4d37063b0e"
    blind = dec_scalar(bytes.fromhex("64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706"))
    blinded = blind * element_from_uniform(expand_message_xmd(b"\0", b"HashToGroup-" + context, 64))
    assert bytes(blinded).hex() == "609a0ae68c15a3cf6903766461307e5c8bb2f95e7e6550e1ffa2dc99e412803c"
    assert bytes(key * blinded).hex() == "7ec6578ae5120958eb2db1745758ff379e77cb64fe77b0b2d8cc917ea0869c7e"


def test_expansion_refuses_sizes_that_rfc_9380_aborts_on() -> None:
    for tag, length in ((bytes(256), 64), (b"tag", 255 * 64 + 1)):
        with pytest.raises(ValueError, match="expand_message_xmd"):
            expand_message_xmd(b"", tag, length)


def test_zero_and_the_identity_give_the_identity_and_no_failure() -> None:
    assert scalar(0) * G == scalar(5) * IDENTITY == G - G == IDENTITY
    assert G + IDENTITY == IDENTITY + G == G - IDENTITY == G
    assert scalar(-1) * G == IDENTITY - G


def test_a_scalar_never_shows_itself() -> None:
    secret = scalar(0x0123456789ABCDEF)
    assert repr(secret) == str(secret) == "Scalar(…)"
    assert "ef" not in f"{[secret]}"


def test_elements_and_scalars_do_not_mix() -> None:
    with pytest.raises(TypeError):
        G * scalar(2)  # type: ignore[operator]
    assert bytes(G) != G
    assert scalar(1) != Element(bytes(scalar(1)))


def test_every_error_has_a_sentence_and_a_remedy() -> None:
    for code in MEANING:
        error = PanelError(code, 3)
        assert (error.code, error.detail) == (code, 3)
        assert "(index 3)" in error.message
        assert error.next_step.endswith(".")
    with pytest.raises(KeyError):
        PanelError("no such name")


# ---- Ed25519: the one verdict of SPEC 2.6 -------------------------------------------------------------------------

_SEED = bytes(range(32))
_KEY = public_key(_SEED)


def _secret(seed: bytes) -> int:
    clamped = bytearray(hashlib.sha512(seed).digest()[:32])
    clamped[0] &= 248
    clamped[31] = clamped[31] & 127 | 64
    return int.from_bytes(clamped, "little")


def _challenge(R: bytes, key: bytes) -> int:
    return int.from_bytes(hashlib.sha512(R + key + signed_message("t", b"body")).digest(), "little") % edwards.L


def _forge(r: int, R: bytes, secret: int = _secret(_SEED), key: bytes = _KEY) -> bytes:
    """R ‖ S with S = r + c·a for the given bytes R."""
    return R + ((r + _challenge(R, key) * secret) % edwards.L).to_bytes(32, "little")


def _accepts(signature: bytes, key: bytes = _KEY) -> bool:
    try:
        verify_signature(key, "t", b"body", signature)
    except PanelError as error:
        assert error.code == "bad_signature"  # noqa: PT017
        return False
    return True


def test_an_honest_signature_and_one_with_another_nonce_pass() -> None:
    assert _accepts(signed(_SEED, "t", b"body")[-64:])
    assert _accepts(_forge(1234567, encode(multiply(1234567, B))))
    good_key(_KEY, "bad_host_key")


def test_the_identity_as_R_is_no_exception() -> None:
    assert _accepts(_forge(0, encode(edwards.IDENTITY)))


def test_S_not_below_the_order_is_refused() -> None:
    good = signed(_SEED, "t", b"body")[-64:]
    S = int.from_bytes(good[32:], "little") + edwards.L
    assert not _accepts(good[:32] + S.to_bytes(32, "little"))


@pytest.mark.parametrize("multiple", range(1, 8))
@pytest.mark.parametrize("r", [0, 1234567])
def test_R_with_a_part_of_small_order_is_refused(multiple: int, r: int) -> None:
    """A cofactored verifier accepts each of these."""
    R = encode(edwards.add(multiply(r, B), multiply(multiple, T8)))
    assert not _accepts(_forge(r, R))


def test_R_that_is_not_canonical_is_refused() -> None:
    for second_identity in ((edwards.P + 1).to_bytes(32, "little"), (1 | 1 << 255).to_bytes(32, "little")):
        assert not _accepts(_forge(0, second_identity))


def _bad_keys() -> list[bytes]:
    small = [encode(multiply(m, T8)) for m in range(8)]
    mixed = [encode(edwards.add(multiply(_secret(_SEED), B), multiply(m, T8))) for m in range(1, 8)]
    second = [(edwards.P + 1).to_bytes(32, "little"), (1 | 1 << 255).to_bytes(32, "little")]
    return small + mixed + second


@pytest.mark.parametrize("key", _bad_keys(), ids=bytes.hex)
def test_a_bad_key_is_refused_where_it_is_named(key: bytes) -> None:
    assert _code(lambda b: good_key(b, "bad_requester_key"), key) == "bad_requester_key"


def test_the_library_takes_bad_keys_so_the_key_check_is_needed() -> None:
    """With the identity as key, S = r signs every message for everyone."""
    identity = encode(edwards.IDENTITY)
    R, S = encode(multiply(99, B)), (99).to_bytes(32, "little")
    for message in (b"one", b"another"):
        Ed25519PublicKey.from_public_bytes(identity).verify(R + S, message)
    assert _accepts(R + S, identity)
