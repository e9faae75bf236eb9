"""The passphrase recipient of age v1: scrypt (RFC 7914), N = 2^log_n, r = 8, p = 1; always the only one in a file."""

import re
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from app.errors import BadInput
from app.sealing.header import FILE_KEY_BYTES, Rng, Stanza, b64_decode, b64_encode, bad_header

LOG_N = 18
"""For writing: about one second and 256 MiB, as stock `age`."""
MAX_LOG_N = 22
"""For reading: 4 GiB. A file that asks for more is refused before any work."""

_TYPE = "scrypt"
_SALT_LABEL = b"age-encryption.org/v1/scrypt"
_ZERO_NONCE = bytes(12)
_LOG_N = re.compile(r"[1-9][0-9]?")


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase, as recipient (written with `log_n`) and as identity (read up to `max_log_n`)."""

    text: str = field(repr=False)
    log_n: int = LOG_N
    max_log_n: int = MAX_LOG_N
    family: str = field(default="passphrase", init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.text:
            raise BadInput("the passphrase is empty", "Type one.", code="empty_passphrase")
        if not 1 <= self.log_n <= self.max_log_n <= 30:
            raise BadInput(f"the work factor {self.log_n} is out of range", "Use 18.", code="bad_work_factor")

    def wrap(self, file_key: bytes, rng: Rng) -> Stanza:
        """Wrap the file key under a key derived with a fresh salt, `rng(16)`."""
        salt = rng(16)
        body = ChaCha20Poly1305(self._key(salt, self.log_n)).encrypt(_ZERO_NONCE, file_key, None)
        return Stanza(type=_TYPE, arguments=(b64_encode(salt).decode("ascii"), str(self.log_n)), body=body)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """Return the file key, or None for another passphrase or type. Raises BadInput (bad_age_header)."""
        if stanza.type != _TYPE:
            return None
        if len(stanza.arguments) != 2:
            raise bad_header("a scrypt stanza has two arguments")
        salt = b64_decode(stanza.arguments[0].encode("ascii"), 16)
        if not _LOG_N.fullmatch(stanza.arguments[1]):
            raise bad_header("a scrypt work factor is malformed")
        log_n = int(stanza.arguments[1])
        if log_n > self.max_log_n:
            raise bad_header(f"a scrypt work factor of {log_n} is above {self.max_log_n}")
        if len(stanza.body) != FILE_KEY_BYTES + 16:
            raise bad_header("a scrypt stanza wraps a key of another size")
        try:
            return ChaCha20Poly1305(self._key(salt, log_n)).decrypt(_ZERO_NONCE, stanza.body, None)
        except InvalidTag:
            return None

    def _key(self, salt: bytes, log_n: int) -> bytes:
        return Scrypt(salt=_SALT_LABEL + salt, length=32, n=1 << log_n, r=8, p=1).derive(self.text.encode("utf-8"))
