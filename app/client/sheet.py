"""The text of a judge's backup sheet, and of the code that opens it and is kept elsewhere: pure.

    sheet, 96 bytes
    0   0x01
    1   the epoch (u32, big-endian)
    5   which card: the first 11 bytes of SHA-256(`muniment/backup/card/v1` ‖ card)
    16  ChaCha20-Poly1305(key, 12 zero bytes, associated data = the 16 bytes before ‖ card, host seed (32) ‖ he (32))

key = scrypt(code, salt = SHA-256(`muniment/backup/salt/v1` ‖ card), N = 2^15, r = 8, p = 1, 32 bytes), the code as its
first 20 letters. Each sheet has a fresh code of 100 random bits, so no key is used twice. On paper a sheet is 72 words
(three times 24 of BIP 39, each with its own checksum) or, in the QR code, `MUNIMENT-BACKUP-1:` and 160 letters of
base32 (RFC 4648): the 96 bytes and the first 4 of their SHA-256. The panel is not named: it is known by the card.
"""

import base64
import hashlib
import re
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from mnemonic import Mnemonic

from app.errors import BadInput, Mismatch

PREFIX = "MUNIMENT-BACKUP-1:"
SHEET_BYTES, WORDS = 96, 72
LOG_N = 15
MAX_TEXT_BYTES = 1 << 20

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Without I, L, O and U (Crockford): nothing on paper is read for something else."""
_SAME = str.maketrans("ILO", "110")
_CODE = re.compile(f"[{_LETTERS}]{{24}}")
_MACHINE = re.compile(re.escape(PREFIX) + r"([A-Z2-7]{160})(?![A-Z0-9])")
_BLOCK_WORDS, _BLOCK_BYTES = 24, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What stands on the paper: the epoch, which card (11 bytes), and the sealed secrets (80 bytes)."""

    epoch: int
    card_tag: bytes
    sealed: bytes

    @property
    def encoded(self) -> bytes:
        """The 96 bytes."""
        return _head(self.epoch, self.card_tag) + self.sealed

    @property
    def words(self) -> tuple[str, ...]:
        """The 72 words."""
        list_ = Mnemonic("english")
        blocks = (self.encoded[start : start + _BLOCK_BYTES] for start in range(0, SHEET_BYTES, _BLOCK_BYTES))
        return tuple(word for block in blocks for word in list_.to_mnemonic(block).split(" "))

    @property
    def machine_text(self) -> str:
        """What the QR code holds."""
        data = self.encoded
        return PREFIX + base64.b32encode(data + hashlib.sha256(data).digest()[:4]).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a sheet gives back: the host's Ed25519 seed and the encryption scalar he, 32 bytes each."""

    host: bytes = field(repr=False)
    he: bytes = field(repr=False)


def card_tag(card: bytes) -> bytes:
    """Return the 11 bytes by which a sheet knows its card (230 bytes)."""
    return hashlib.sha256(b"muniment/backup/card/v1" + card).digest()[:11]


def new_code(rnd: bytes) -> str:
    """Return a code, as `XXXX-XXXX-XXXX-XXXX-XXXX-XXXX`, from 13 fresh bytes: 100 bits, and 20 of checksum."""
    value = int.from_bytes(rnd, "big") & ((1 << 100) - 1)
    letters = "".join(_LETTERS[value >> shift & 31] for shift in range(95, -1, -5))
    return _grouped(letters + _check(letters))


def parse_code(text: str) -> str:
    """Return a code in its one form. Case, spaces and hyphens do not matter, nor O for 0 and I or L for 1.

    Raises BadInput (bad_backup_code), which never shows what was typed.
    """
    letters = re.sub(r"[ \t\r\n-]", "", text).upper().translate(_SAME)
    if not letters.isascii() or not _CODE.fullmatch(letters):
        raise _bad_code("has six groups of four letters and digits")
    if letters[20:] != _check(letters[:20]):
        raise _bad_code("was mistyped somewhere: its last group does not fit the others")
    return _grouped(letters)


def seal_sheet(*, epoch: int, card: bytes, host: bytes, he: bytes, code: str) -> Sheet:
    """Seal a judge's secrets for one card under a code of `new_code`, which is used for nothing else."""
    tag = card_tag(card)
    sealed = ChaCha20Poly1305(_key(code, card)).encrypt(bytes(12), host + he, _head(epoch, tag) + card)
    return Sheet(epoch=epoch, card_tag=tag, sealed=sealed)


def open_sheet(sheet: Sheet, *, card: bytes, code: str) -> Opened:
    """Open a sheet for the card that it is for. Raises Mismatch (wrong_backup_code)."""
    try:
        secrets = ChaCha20Poly1305(_key(code, card)).decrypt(
            bytes(12), sheet.sealed, _head(sheet.epoch, sheet.card_tag) + card
        )
    except InvalidTag:
        raise Mismatch(
            "the code does not open this sheet",
            "Take the code that was written down when this very sheet was made.",
            code="wrong_backup_code",
        ) from None
    return Opened(host=secrets[:32], he=secrets[32:])


def parse_sheet(text: str) -> Sheet:
    """Read a sheet: text that holds what the QR code holds (the sheet's own file, say), or the 72 words.

    Raises BadInput (bad_backup_sheet), which names the place of a mistyped word.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise _bad_sheet("is too long for a sheet")
    if PREFIX in text:
        return _of_bytes(_machine_bytes(text))
    words = text.lower().split()
    if len(words) != WORDS:
        raise _bad_sheet(f"has {len(words)} words, and a sheet has {WORDS}, or one text that begins with {PREFIX}")
    list_ = Mnemonic("english")
    for place, word in enumerate(words, 1):
        if word not in list_.wordlist:
            raise _bad_sheet(f"has a word in place {place} that is not in the list of words")
    data = b""
    for start in range(0, WORDS, _BLOCK_WORDS):
        block = " ".join(words[start : start + _BLOCK_WORDS])
        if not list_.check(block):
            raise _bad_sheet(f"has a wrong word among the words {start + 1} to {start + _BLOCK_WORDS}")
        data += bytes(list_.to_entropy(block))
    return _of_bytes(data)


def _machine_bytes(text: str) -> bytes:
    found = set(_MACHINE.findall(text))
    if len(found) != 1:
        raise _bad_sheet(f"must have one text of 160 letters after {PREFIX}")
    data = base64.b32decode(found.pop())
    if hashlib.sha256(data[:SHEET_BYTES]).digest()[:4] != data[SHEET_BYTES:]:
        raise _bad_sheet("was mistyped somewhere: its checksum does not fit")
    return data[:SHEET_BYTES]


def _of_bytes(data: bytes) -> Sheet:
    if data[0] != 1:
        raise _bad_sheet(f"is of version {data[0]}, and this program reads version 1")
    epoch = int.from_bytes(data[1:5], "big")
    if not epoch:
        raise _bad_sheet("is for the epoch 0, and epochs begin with 1")
    return Sheet(epoch=epoch, card_tag=data[5:16], sealed=data[16:])


def _head(epoch: int, tag: bytes) -> bytes:
    return b"\x01" + epoch.to_bytes(4, "big") + tag


def _key(code: str, card: bytes) -> bytes:
    letters = parse_code(code).replace("-", "")[:20]
    salt = hashlib.sha256(b"muniment/backup/salt/v1" + card).digest()
    return Scrypt(salt=salt, length=32, n=1 << LOG_N, r=8, p=1).derive(letters.encode("ascii"))


def _check(letters: str) -> str:
    value = (
        int.from_bytes(hashlib.sha256(b"muniment/backup/code/v1" + letters.encode("ascii")).digest()[:3], "big") >> 4
    )
    return "".join(_LETTERS[value >> shift & 31] for shift in range(15, -1, -5))


def _grouped(letters: str) -> str:
    return "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))


def _bad_code(problem: str) -> BadInput:
    return BadInput(f"the backup code {problem}", "Type it again from its paper.", code="bad_backup_code")


def _bad_sheet(problem: str) -> BadInput:
    return BadInput(
        f"the backup sheet {problem}", "Compare it with the paper, or scan the QR code.", code="bad_backup_sheet"
    )
