"""Chains, possessions, binding files: any bytes are refused by name; one changed byte is another text or refused."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from app.client.binding import bind, is_locked, read_certificates, read_key, sign_text
from app.demo.pki import Issued
from app.errors import AppError, BadInput, Refused
from app.identities.bindingfile import BindingFile, format_binding, parse_binding
from app.identities.chain import Chain, read_chain
from app.identities.possession import Algorithm, binding_text, check_possession
from tests.app.identities.people import chain_of, issued, pki

ORIGIN, MEMBER, KEY = "ledger.example/court", "o" * 43, "k" * 43
CHAIN = chain_of(issued("Person"))


def text(chain: Chain) -> bytes:
    return binding_text(origin=ORIGIN, member=MEMBER, key=KEY, certificate=chain.sha256)


def with_key(
    key: object, *, name: str = "Keyed", digest: hashes.HashAlgorithm | None = None, **usage: bool
) -> tuple[bytes, ...]:
    """A chain for another kind of key, or with another key usage, issued by the loopback authority."""
    issuing = issued("x").chain[0]
    signer: Issued = pki()._issuing
    flags = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    begin = pki().now() - datetime.timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(issuing.subject)
        .public_key(key)  # type: ignore[arg-type]
        .serial_number(7)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=9))
        .add_extension(x509.KeyUsage(**{**flags, "digital_signature": True, **usage}), critical=True)
    )
    made = builder.sign(signer.key, digest or hashes.SHA256())
    return (made.public_bytes(serialization.Encoding.DER), *CHAIN[1:])


def refused(certificates: tuple[bytes, ...]) -> str:
    with pytest.raises(AppError) as caught:
        read_chain(certificates)
    return caught.value.code


def test_all_four_algorithms_prove_possession_and_none_stands_for_another() -> None:
    keys: list[rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
    ]
    signed = []
    for key in keys:
        chain = read_chain(with_key(key.public_key()))
        signed.append((chain, *sign_text(key, text(chain))))
    signed.append((chain, *sign_text(keys[2], text(chain), pkcs1v15=True)))
    algorithms: list[Algorithm] = [each[1] for each in signed]
    assert algorithms == ["ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha256", "rsa-pkcs1v15-sha256"]
    for chain, algorithm, signature in signed:
        check_possession(chain, algorithm, signature, origin=ORIGIN, member=MEMBER, key=KEY)
        for other in set(algorithms) - {algorithm}:
            with pytest.raises(Refused, match="not by the key"):
                check_possession(chain, other, signature, origin=ORIGIN, member=MEMBER, key=KEY)
        for origin, member, current in ((ORIGIN + "x", MEMBER, KEY), (ORIGIN, KEY, KEY), (ORIGIN, MEMBER, MEMBER)):
            with pytest.raises(Refused):
                check_possession(chain, algorithm, signature, origin=origin, member=member, key=current)


def test_weak_and_unsuitable_certificates_are_refused() -> None:
    good = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert read_chain(with_key(good)).subject == "CN=Keyed"
    assert refused(with_key(rsa.generate_private_key(65537, 1024).public_key())) == "weak_certificate"  # noqa: S505
    assert refused(with_key(ec.generate_private_key(ec.SECP256K1()).public_key())) == "weak_certificate"
    assert refused(with_key(ed25519.Ed25519PrivateKey.generate().public_key())) == "weak_certificate"
    assert refused(with_key(good, digest=hashes.SHA224())) == "weak_certificate"
    assert refused(with_key(good, digital_signature=False, content_commitment=True)) == "bad_chain"
    assert refused(with_key(good, name="x\u202ey")) == "bad_certificate"
    assert refused((CHAIN[0],)) == "bad_chain"
    assert refused(CHAIN[:1] * 7) == "bad_chain"
    assert refused((CHAIN[0] + b" " * 9_000, *CHAIN[1:])) == "bad_certificate"


def test_the_text_is_five_lines() -> None:
    assert binding_text(origin=ORIGIN, member=MEMBER, key=KEY, certificate=bytes(32)) == (
        f"muniment-identity-binding/v1\n{ORIGIN}\n{MEMBER}\n{KEY}\n{'00' * 32}\n".encode()
    )


@given(st.lists(st.binary(max_size=200), min_size=0, max_size=8))
def test_any_bytes_are_no_chain(certificates: list[bytes]) -> None:
    with pytest.raises(AppError):
        read_chain(certificates)


@settings(max_examples=300)
@given(st.integers(0, 2), st.data())
def test_a_changed_byte_breaks_the_chain_or_is_the_roots_own_signature(which: int, data: st.DataObject) -> None:
    der = CHAIN[which]
    at = data.draw(st.integers(0, len(der) - 1))
    changed = der[:at] + bytes([der[at] ^ data.draw(st.integers(1, 255))]) + der[at + 1 :]
    certificates = (*CHAIN[:which], changed, *CHAIN[which + 1 :])
    try:
        chain = read_chain(certificates)
    except AppError:
        return
    # The root vouches for itself by its bytes, which the reader compares: only its names and key are used here.
    assert which == 2
    assert chain.sha256 == read_chain(CHAIN).sha256


def binding() -> BindingFile:
    person = issued("Person")
    return bind(person.key, (person.certificate, *person.chain), origin=ORIGIN, member=MEMBER, current=KEY)


def test_a_binding_file_is_read_back_and_holds() -> None:
    made = binding()
    assert parse_binding(format_binding(made)) == made
    chain = read_chain((*made.certificates, pki().root_der))
    check_possession(chain, made.algorithm, made.signature, origin=ORIGIN, member=MEMBER, key=KEY)


@given(st.binary(max_size=300))
def test_any_bytes_are_no_binding_file(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_binding(data)


FILE = format_binding(binding())


@given(st.integers(0, len(FILE) * 8 - 1))
def test_a_flipped_bit_is_another_file_or_refused(bit: int) -> None:
    changed = FILE[: bit // 8] + bytes([FILE[bit // 8] ^ 1 << bit % 8]) + FILE[bit // 8 + 1 :]
    try:
        found = parse_binding(changed)
    except AppError:
        return
    assert found != parse_binding(FILE)
    assert format_binding(found) == changed


def test_keys_that_do_not_fit_are_named() -> None:
    person, other = issued("Person"), issued("Other")
    with pytest.raises(BadInput, match="not that of the key"):
        bind(other.key, (person.certificate,), origin=ORIGIN, member=MEMBER, current=KEY)
    with pytest.raises(BadInput, match="no certificates in PEM"):
        read_certificates(b"nothing", "chain.pem")
    assert read_certificates(person.certificates_pem(), "chain.pem") == (person.certificate, *person.chain)
    locked = person.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")
    )
    assert is_locked(locked)
    assert not is_locked(person.key_pem())
    read_key(locked, "word")
    for pem, word in ((locked, "other"), (locked, None), (b"no key", None)):
        with pytest.raises(BadInput) as caught:
            read_key(pem, word)
        assert caught.value.code == "bad_key"
