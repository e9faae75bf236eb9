"""Signed notes byte for byte, and everything around them that must be refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import BadKey, BadSignature, LedgerError, Malformed
from ledger.note import MAX_SIGNATURES, KeyType, Note, NoteSigner, SignatureLine, VerifierKey, verify_note

KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
TEXT = "This is an example message.\n"
LINE = (
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
NOTE = f"{TEXT}\n{LINE}"
SIGNER = NoteSigner("ledger.example/notary", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = NoteSigner("other.example", Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))

texts = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]) | st.just("\n")).map(lambda t: t + "\n")


def test_the_example_of_the_specification_verifies() -> None:
    key = VerifierKey.parse(KEY)
    assert (key.name, key.type, key.key_id.hex()) == ("example.com/foo", KeyType.ED25519, "530d903a")
    assert key.text == KEY
    note = verify_note(NOTE, [key])
    assert note.text == TEXT
    assert note.format() == NOTE


def test_the_signers_key_is_the_worked_one() -> None:
    assert SIGNER.key.text == "ledger.example/notary+986cb109+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"


@given(texts)
def test_what_is_signed_verifies_and_reads_back(text: str) -> None:
    signed = SIGNER.sign_note(text)
    assert signed == SIGNER.sign_note(text)
    note = verify_note(signed, [SIGNER.key])
    assert note.text == text
    assert note.format() == signed


@given(texts, st.data())
def test_one_flipped_bit_is_refused(text: str, data: st.DataObject) -> None:
    raw = bytearray(SIGNER.sign_note(text).encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        changed = raw.decode()
    except UnicodeDecodeError:
        return
    with pytest.raises((Malformed, BadSignature)):
        verify_note(changed, [SIGNER.key])


@given(
    st.text()
    | st.lists(st.sampled_from(["\n", "\n\n", "— ", "a.b", " ", "AAAAAAA=", "+", "\u2028", "\ud800"])).map("".join)
)
def test_any_text_is_read_exactly_or_refused(text: str) -> None:
    try:
        note = Note.parse(text)
    except Malformed:
        return
    assert note.format() == text


@given(st.text() | st.tuples(st.text(), st.text(), st.text()).map("+".join))
def test_any_text_is_a_verifier_key_exactly_or_refused(text: str) -> None:
    try:
        key = VerifierKey.parse(text)
    except LedgerError:
        return
    assert key.text == text


@pytest.mark.parametrize(
    ("what", "note"),
    [
        ("no signature", TEXT + "\n"),
        ("no blank line", TEXT + LINE),
        ("nothing", ""),
        ("no text", "\n" + LINE),
        ("no last newline", NOTE[:-1]),
        ("blank after", NOTE + "\n"),
        ("hyphen for dash", NOTE.replace("—", "-")),
        ("two spaces", NOTE.replace("foo U", "foo  U")),
        ("carriage return", NOTE.replace("\n", "\r\n")),
        ("tab in text", "a\tb\n\n" + LINE),
        ("NUL in text", "a\0b\n\n" + LINE),
        ("plus in name", NOTE.replace("/foo", "+foo")),
        ("no-break space in name", NOTE.replace("/foo", "\u00a0foo")),
        ("empty name", NOTE.replace("example.com/foo", "")),
        ("no padding", NOTE.replace("QM=", "QM")),
        ("pad bits", NOTE.replace("QM=", "QN=")),
        ("junk in base64", NOTE.replace("QM=", "Q!M=")),
        ("url alphabet", NOTE.replace("Uw2Q", "_w2Q")),
        ("id alone", TEXT + "\n— example.com/foo Uw2QOg==\n"),
        ("line separator between lines", NOTE[:-1] + "\u2028" + LINE),
        ("surrogate", "\ud800\n\n" + LINE),
    ],
)
def test_other_forms_are_refused(what: str, note: str) -> None:
    with pytest.raises(Malformed):
        Note.parse(note)


def test_the_text_ends_at_the_last_blank_line() -> None:
    text = "one\n\ntwo\n\n\n"
    assert verify_note(SIGNER.sign_note(text), [SIGNER.key]).text == text


def test_unknown_keys_are_ignored_even_with_a_known_name_or_id() -> None:
    same_name = SignatureLine(name=SIGNER.name, key_id=b"\0\0\0\0", signature=b"x" * 64)
    same_id = SignatureLine(name="elsewhere.example", key_id=SIGNER.key.key_id, signature=b"x" * 64)
    note = Note(text=TEXT, signatures=(same_name, same_id, SIGNER.sign(TEXT)))
    assert verify_note(note.format(), [SIGNER.key]) == note
    with pytest.raises(BadSignature, match="no known key"):
        verify_note(note.format(), [OTHER.key])


def test_a_bad_signature_of_a_known_key_refuses_the_whole_note() -> None:
    forged = SignatureLine(name=OTHER.name, key_id=OTHER.key.key_id, signature=SIGNER.sign(TEXT).signature)
    note = Note(text=TEXT, signatures=(SIGNER.sign(TEXT), forged)).format()
    assert verify_note(note, [SIGNER.key]).text == TEXT
    with pytest.raises(BadSignature, match=r"other\.example"):
        verify_note(note, [SIGNER.key, OTHER.key])


def test_sixteen_signatures_are_accepted_and_too_many_are_not() -> None:
    line = SIGNER.sign(TEXT).text
    assert len(verify_note(f"{TEXT}\n{line * 16}", [SIGNER.key]).signatures) == 16
    Note.parse(f"{TEXT}\n{line * MAX_SIGNATURES}")
    with pytest.raises(Malformed, match="signature lines"):
        Note.parse(f"{TEXT}\n{line * (MAX_SIGNATURES + 1)}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a+b",
        KEY.replace("530d903a", "530D903A"),
        KEY.replace("530d903a", "530d903b"),
        KEY.replace("530d903a", "0530d903a"),
        KEY.replace("example.com/foo", "example.com/bar"),
        KEY.replace("+Aeky", "+Auky"),
        KEY[:-4],
        KEY + "=",
        KEY + "\n",
        " " + KEY,
        "x+e3b0c442+",
    ],
)
def test_other_verifier_keys_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        VerifierKey.parse(text)


def test_a_weak_key_is_refused_wherever_a_verifier_key_is_made() -> None:
    with pytest.raises(BadKey, match=r"weak\.example is the identity"):
        VerifierKey(name="weak.example", type=KeyType.ED25519, public_key=b"\1" + bytes(31))
    with pytest.raises(BadKey, match="small or mixed order"):
        VerifierKey(name="weak.example", type=KeyType.ED25519_COSIGNATURE, public_key=bytes(32))
