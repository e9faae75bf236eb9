"""Time-stamp tokens: the verdicts of the vectors, and what else an attacker sends."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from app.demo.pki import Issued, LoopbackPki, Profile, Token, make_token, respond
from ledger.anchors.errors import BadAnchor, UnknownAuthority
from ledger.anchors.tsa import response_around, strict_token, token_of_response, verify_reply, verify_token
from ledger.anchors.tsa_chain import Authority
from ledger.errors import LedgerError

VECTORS = Path(__file__).parent.parent.parent / "vectors" / "timestamps"
MESSAGE = (VECTORS / "message.txt").read_bytes()
ROOT = x509.load_pem_x509_certificate((VECTORS / "root.pem").read_bytes())
ANY = (Authority(name="the office's", roots=(ROOT,)),)
NONCE = 7940039567170564908  # of request.tsq
NOW = 1_795_462_022

PKI = LoopbackPki("http://pki.example", clock=lambda: NOW)
AUTHORITIES = tuple(Authority(name=each.name, roots=(PKI.root,), subject=each.name) for each in PKI.tsas)


def vector(name: str) -> bytes:
    return token_of_response((VECTORS / name).read_bytes())


def made(issued: Issued | None = None, **changes: object) -> bytes:
    issued = issued or PKI.tsas[0].issued
    values: dict[str, object] = {
        "algorithm": "sha256",
        "imprint": hashlib.sha256(MESSAGE).digest(),
        "nonce": 5,
        "gen_time": datetime.fromtimestamp(NOW, UTC),
        "certificates": (issued.der,),
    }
    return make_token(Token(**{**values, **changes}), issued)  # type: ignore[arg-type]


def refused(token: bytes, authorities: tuple[Authority, ...] = AUTHORITIES) -> str:
    with pytest.raises(LedgerError) as caught:
        verify_token(token, MESSAGE, authorities)
    return caught.value.code


@pytest.mark.parametrize("name", ["good.tsr", "good2.tsr", "old-valid-at-gentime.tsr"])
def test_good_vectors(name: str) -> None:
    found = verify_token(vector(name), MESSAGE, ANY)
    assert found.common_name == ("Test TSA 2" if name == "good2.tsr" else "Test TSA 1")
    assert found.nonce == NONCE
    assert found.authority == "the office's"
    if name == "good.tsr":
        assert found.gen_time_us == 1_795_462_022_094_733  # the fraction is kept
        assert (found.earliest, found.latest) == (1_795_462_022, 1_795_462_023)
    if name == "old-valid-at-gentime.tsr":
        assert found.ends < NOW  # judged at its own time; whoever judges now needs a later proof


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("bad-other-digest.tsr", "wrong_imprint"),
        ("bad-imprint-altered.tsr", "wrong_imprint"),
        ("bad-expired-cert.tsr", "expired_tsa"),
        ("bad-wrong-eku.tsr", "wrong_eku"),
        ("bad-sha1-imprint.tsr", "weak_imprint"),
        ("bad-unknown-root.tsr", "wrong_tsa"),
        ("bad-rejected.tsr", "rejected"),
        ("bad-truncated.tsr", "anchor_form"),
    ],
)
def test_bad_vectors(name: str, code: str) -> None:
    with pytest.raises(BadAnchor) as caught:
        verify_token(vector(name), MESSAGE, ANY)
    assert caught.value.code == code


def test_an_altered_imprint_of_these_very_bytes_breaks_the_signature() -> None:
    other = b"another checkpoint"
    token = made()
    forged = token.replace(hashlib.sha256(MESSAGE).digest(), hashlib.sha256(other).digest())
    assert forged != token
    with pytest.raises(BadAnchor) as caught:
        verify_token(forged, other, AUTHORITIES)
    assert caught.value.code == "bad_token_signature"


def test_a_reply_is_for_its_query_and_of_now() -> None:
    for name, nonce, now, code in (
        ("good.tsr", NONCE, NOW, None),
        ("bad-nonce.tsr", NONCE, NOW, "wrong_nonce"),
        ("good.tsr", NONCE, NOW + 301, "token_time"),
        ("old-valid-at-gentime.tsr", NONCE, NOW, "token_time"),
    ):
        reply = (VECTORS / name).read_bytes()
        if code is None:
            token, found = verify_reply(reply, MESSAGE, nonce, ANY, now=now)
            assert verify_token(token, MESSAGE, ANY) == found
            continue
        with pytest.raises(BadAnchor) as caught:
            verify_reply(reply, MESSAGE, nonce, ANY, now=now)
        assert caught.value.code == code


def test_the_kept_form_has_no_certificate_beside_the_chain() -> None:
    token = vector("good.tsr")
    kept = strict_token(token, ANY)
    assert len(kept) < len(token)  # it embedded the root
    assert verify_token(kept, MESSAGE, ANY).serial == verify_token(token, MESSAGE, ANY).serial
    assert strict_token(kept, ANY) == kept


def test_a_surplus_certificate_is_refused_and_taken_out() -> None:
    tsa = PKI.tsas[0].issued
    token = made(certificates=(tsa.der, PKI.tsas[1].issued.der))
    assert refused(token) == "surplus_certificate"
    assert refused(made(certificates=(tsa.der, tsa.der))) == "surplus_certificate"
    verify_token(strict_token(token, AUTHORITIES), MESSAGE, AUTHORITIES)


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_longer_imprints_are_taken(algorithm: str) -> None:
    token = made(algorithm=algorithm, imprint=hashlib.new(algorithm, MESSAGE).digest())
    assert verify_token(token, MESSAGE, AUTHORITIES).algorithm == algorithm


def test_a_weak_imprint_is_refused() -> None:
    assert refused(made(algorithm="sha1", imprint=hashlib.sha1(MESSAGE).digest())) == "weak_imprint"  # noqa: S324


def test_accuracy_and_ordering_are_kept() -> None:
    found = verify_token(made(accuracy_ms=1500), MESSAGE, AUTHORITIES)
    assert (found.accuracy_us, found.ordering) == (1_500_000, False)
    assert (found.earliest, found.latest) == (NOW - 2, NOW + 2)
    assert verify_token(made(accuracy_ms=None), MESSAGE, AUTHORITIES).accuracy_us is None


def test_authorities_under_one_root_are_told_apart_by_name() -> None:
    second = PKI.tsas[1].issued
    assert verify_token(made(second), MESSAGE, AUTHORITIES).authority == PKI.tsas[1].name
    assert refused(made(second), AUTHORITIES[:1]) == "unknown_tsa"
    everybody = (*AUTHORITIES[:1], Authority(name="others", roots=(PKI.root,)))
    assert verify_token(made(second), MESSAGE, everybody).authority == "others"
    assert verify_token(made(), MESSAGE, everybody).authority == PKI.tsas[0].name


def test_an_authority_of_another_root_is_neither_good_nor_bad() -> None:
    other = LoopbackPki("http://other.example", clock=lambda: NOW, names="Another")
    with pytest.raises(UnknownAuthority):
        verify_token(made(other.tsas[0].issued), MESSAGE, AUTHORITIES)


def test_a_root_of_the_same_name_is_a_forgery() -> None:
    other = LoopbackPki("http://pki.example", clock=lambda: NOW)
    assert refused(made(other.tsas[0].issued)) == "wrong_tsa"


def test_certificates_are_judged_at_the_stated_time() -> None:
    begin = datetime.fromtimestamp(NOW, UTC) - timedelta(days=10)
    short = PKI.issue(PKI.tsas[0].name, profile=Profile.TSA, days=5, begin=begin)
    assert refused(made(short)) == "expired_tsa"
    assert refused(made(short, gen_time=begin - timedelta(seconds=1))) == "expired_tsa"
    found = verify_token(made(short, gen_time=begin + timedelta(days=1)), MESSAGE, AUTHORITIES)
    assert found.ends == NOW - 5 * 86_400


def test_only_a_time_stamping_certificate_signs_tokens() -> None:
    for profile in (Profile.SEAL, Profile.OCSP, Profile.PERSON):
        wrong = PKI.issue(PKI.tsas[0].name, profile=profile)
        chain = tuple(each.public_bytes(Encoding.DER) for each in wrong.chain)
        assert refused(made(wrong, certificates=(wrong.der, *chain))) == "wrong_eku"


def test_the_signers_certificate_cannot_be_exchanged() -> None:
    """A second certificate for the same key: ESSCertID says for which one the token was signed."""
    tsa = PKI.tsas[0].issued
    again = PKI.issue(PKI.tsas[0].name, profile=Profile.TSA)
    swapped = cms.ContentInfo.load(made(Issued(key=tsa.key, certificate=again.certificate)))
    attributes = swapped["content"]["signer_infos"][0]["signed_attrs"]
    token = cms.ContentInfo.load(made())
    token["content"]["signer_infos"][0]["sid"] = swapped["content"]["signer_infos"][0]["sid"]
    token["content"]["certificates"] = swapped["content"]["certificates"]
    assert len(attributes) == 3
    assert refused(token.dump(force=True)) == "bad_token_signature"


def test_the_signer_must_be_embedded() -> None:
    assert refused(made(certificates=(PKI.tsas[1].issued.der,))) == "wrong_tsa"
    assert refused(made(certificates=())) == "anchor_form"


def test_unsigned_attributes_are_refused() -> None:
    token = cms.ContentInfo.load(made())
    signer = token["content"]["signer_infos"][0]
    signer["unsigned_attrs"] = cms.CMSAttributes([{"type": "message_digest", "values": [b"x" * 32]}])
    assert refused(token.dump(force=True)) == "anchor_form"


def test_a_response_is_read_back() -> None:
    token = made()
    assert response_around(token) == respond(token)
    assert token_of_response(respond(token)) == token
    for bad in (b"", b"\x30\x00", respond(token) + b"\x00", respond(token)[:-1], bytes.fromhex("30053003020100")):
        with pytest.raises(BadAnchor):
            token_of_response(bad)


def test_a_flipped_byte_anywhere_is_refused() -> None:
    token = strict_token(vector("good.tsr"), ANY)
    taken = []
    for at in range(len(token)):
        flipped = bytearray(token)
        flipped[at] ^= 1 << at % 8
        try:
            verify_token(bytes(flipped), MESSAGE, ANY)
        except LedgerError:
            continue
        taken.append(at)
    assert taken == []


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_our_errors(data: bytes) -> None:
    for read in (token_of_response, lambda each: verify_token(each, MESSAGE, ANY)):
        with pytest.raises(LedgerError):
            read(data)


@given(st.integers(0, 1100), st.binary(min_size=1, max_size=8))
def test_spliced_tokens_raise_only_our_errors(at: int, data: bytes) -> None:
    token = vector("good2.tsr")
    spliced = token[:at] + data + token[at + len(data) :]
    if spliced == token:
        return
    with pytest.raises(LedgerError):
        verify_token(spliced, MESSAGE, ANY)
