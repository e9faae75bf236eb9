"""Signed notes and verifier keys, as in C2SP signed-note.

A note is a text that ends in a newline, a blank line, and signature lines `— <name> <base64(key id ‖ signature)>`. It
is split at the LAST blank line. This module knows the form of every signature and checks those of type 0x01 (Ed25519
over the text); `ledger.cosignature` checks the witnesses' types 0x04 and 0x06.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.ed25519 import check_public_key
from ledger.errors import BadSignature, Malformed
from ledger.text import check_key_name, decode_base64, encode_base64, encode_utf8

KEY_ID_BYTES = 4
MAX_SIGNATURES = 100
"""Signature lines in one note. C2SP asks for at least 16; the reference implementation stops at 100."""
MAX_NOTE_BYTES = 1_000_000

_DASH = "— "  # U+2014 and a space


class KeyType(IntEnum):
    """The signature type bytes of C2SP signed-note that a verifier key can name here."""

    ED25519 = 0x01
    """Ed25519 over the note's text."""
    ED25519_COSIGNATURE = 0x04
    """Timestamped Ed25519 cosignature."""
    MLDSA44_COSIGNATURE = 0x06
    """Timestamped ML-DSA-44 cosignature."""


_PUBLIC_KEY_BYTES = {KeyType.ED25519: 32, KeyType.ED25519_COSIGNATURE: 32, KeyType.MLDSA44_COSIGNATURE: 1312}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A key's name, signature type and public key (32 bytes Ed25519, 1,312 bytes ML-DSA-44).

    Raises Malformed for a bad name or length, BadKey for an Ed25519 key that must not be trusted.
    """

    name: str
    type: KeyType
    public_key: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name, "the key name")
        if len(self.public_key) != _PUBLIC_KEY_BYTES[self.type]:
            raise Malformed(
                f"the key of {self.name} has {len(self.public_key)} bytes, not {_PUBLIC_KEY_BYTES[self.type]}"
            )
        if self.type is not KeyType.MLDSA44_COSIGNATURE:
            check_public_key(self.public_key, f"the key of {self.name}")

    @property
    def key_id(self) -> bytes:
        """SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4]."""
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public_key).digest()[:KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """`<name>+<hex key id>+<base64(type ‖ public key)>`."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.type]) + self.public_key)}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read a verifier key. Raises Malformed (form, unknown type, key id of another key) or BadKey."""
        parts = text.split("+", 2)  # base64 may hold further '+'
        if len(parts) != 3:
            raise Malformed(f"not a verifier key (name+id+key): {text[:80]!a}")
        name, key_id, encoded = parts
        raw = decode_base64(encoded, f"the key of {name[:80]!a}")
        if not raw or raw[0] not in set(KeyType):
            raise Malformed(f"the key of {name[:80]!a} has the unknown signature type {raw[:1].hex() or 'none'}")
        key = cls(name=name, type=KeyType(raw[0]), public_key=raw[1:])
        if key_id != key.key_id.hex():
            raise Malformed(f"the key id of {name} is {key.key_id.hex()}, not {key_id[:80]!a}")
        return key


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureLine:
    """One signature line: key name, key id (4 bytes), and what follows it (at least 1 byte)."""

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name, "the name in a signature line")
        if len(self.key_id) != KEY_ID_BYTES or not self.signature:
            raise Malformed(f"the signature line of {self.name} is too short")

    @property
    def text(self) -> str:
        """The line with its newline."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.signature)}\n"

    @classmethod
    def parse(cls, line: str) -> "SignatureLine":
        """Read one line without its newline. Raises Malformed."""
        if not line.startswith(_DASH):
            raise Malformed(f"a signature line does not start with an em dash and a space: {line[:80]!a}")
        name, space, encoded = line[len(_DASH) :].partition(" ")
        if not space:
            raise Malformed(f"a signature line has no signature: {line[:80]!a}")
        raw = decode_base64(encoded, f"the signature of {name[:80]!a}")
        return cls(name=name, key_id=raw[:KEY_ID_BYTES], signature=raw[KEY_ID_BYTES:])

    def names(self, key: VerifierKey) -> bool:
        """Answer whether the line claims to be made by `key`: same name and same key id."""
        return self.name == key.name and self.key_id == key.key_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text (ends in a newline; control characters only newlines) and its 1 to MAX_SIGNATURES signature lines."""

    text: str
    signatures: tuple[SignatureLine, ...]

    def __post_init__(self) -> None:
        if not self.text.endswith("\n"):
            raise Malformed("a note's text does not end in a newline")
        if any(char < " " and char != "\n" for char in self.text):
            raise Malformed("a note's text holds a control character")
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise Malformed(f"a note has {len(self.signatures)} signature lines, not 1 to {MAX_SIGNATURES}")

    def format(self) -> str:
        """The signed note: text, blank line, signature lines."""
        return self.text + "\n" + "".join(line.text for line in self.signatures)

    @classmethod
    def parse(cls, signed: str) -> "Note":
        """Read a signed note; `format` gives the same text back. Raises Malformed. No signature is checked."""
        if len(encode_utf8(signed, "a note")) > MAX_NOTE_BYTES:
            raise Malformed(f"a note of more than {MAX_NOTE_BYTES} bytes")
        at = signed.rfind("\n\n")
        if at < 0:
            raise Malformed("a note without a blank line before its signatures")
        text, lines = signed[: at + 1], signed[at + 2 :]
        if not lines.endswith("\n"):
            raise Malformed("a note whose last line does not end in a newline")
        # Not splitlines(), which would also cut at U+2028 and others.
        split = lines[:-1].split("\n")
        if len(split) > MAX_SIGNATURES:
            raise Malformed(f"a note has {len(split)} signature lines, not 1 to {MAX_SIGNATURES}")
        return cls(text=text, signatures=tuple(SignatureLine.parse(line) for line in split))


class NoteSigner:
    """Signs note texts with an Ed25519 key under a name (type 0x01). Deterministic: one text, one line."""

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.key = VerifierKey(name=name, type=KeyType.ED25519, public_key=private_key.public_key().public_bytes_raw())

    @property
    def name(self) -> str:
        """The key's name."""
        return self.key.name

    def sign(self, text: str) -> SignatureLine:
        """The signature line over `text`, which must end in a newline."""
        signature = self._private_key.sign(encode_utf8(text, "a note's text"))
        return SignatureLine(name=self.key.name, key_id=self.key.key_id, signature=signature)

    def sign_note(self, text: str) -> str:
        """The signed note with this signer's line alone."""
        return Note(text=text, signatures=(self.sign(text),)).format()


def verify_signature(key: VerifierKey, text: str, line: SignatureLine) -> None:
    """Raise BadSignature unless `line` is the signature of `key` (type 0x01) over `text`."""
    if key.type is not KeyType.ED25519 or not line.names(key):
        raise BadSignature(f"the signature line of {line.name} is not one of key {key.name} for notes")
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(line.signature, encode_utf8(text, "a note's text"))
    except InvalidSignature as error:
        raise BadSignature(f"the signature of {key.name} ({key.key_id.hex()}) does not verify") from error


def verify_note(signed: str, keys: Iterable[VerifierKey]) -> Note:
    """Read a note and check every line of a known key (type 0x01); lines of unknown keys are ignored.

    Raises Malformed, or BadSignature when a known key's signature fails or no known key signed.
    """
    note = Note.parse(signed)
    known = {(key.name, key.key_id): key for key in keys}
    verified = 0
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is not None:
            verify_signature(key, note.text, line)
            verified += 1
    if not verified:
        raise BadSignature("no known key signed this note", "Compare the verifier key with the one that was published.")
    return note
