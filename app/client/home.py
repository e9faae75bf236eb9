"""A person's folder (`MUNIMENT_HOME`): keys under a passphrase, what he trusts, and his secrets, each encrypted.

    identity.age     the keys: an Ed25519 seed and a post-quantum age identity, an age file under a passphrase (scrypt)
    identity.json    the public card for the registrar
    trust.json       the trust file;  settings.json  where the service is
    checkpoint       the last checkpoint accepted;  forks/  checkpoints that contradict it
    secrets/ kept/ uploads/ cache/   age files for the person's own post-quantum recipient

The folder is 0700, files 0600. A passphrase comes from a prompt or from the file that `MUNIMENT_PASSPHRASE_FILE` names,
never from the command line.
"""

import getpass
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import platformdirs

from app.canonical import format_json, parse_json
from app.client.addresses import Service, ServiceField
from app.client.files import destroy_file, make_folder, read_file, write_file
from app.errors import BadInput, Mismatch
from app.fields import Hex, Parsed, Text, read_record, write_record
from app.sealing.age import decrypt_bytes, encrypt_bytes
from app.sealing.header import Rng
from app.sealing.hybrid import PqIdentity, PqRecipient
from app.sealing.scrypt import LOG_N, Passphrase
from app.statements.kinds import Key, Notes
from app.statements.statement import Signer
from app.statements.trust import MAX_TRUST_BYTES, Trust, parse_trust

HOME_VARIABLE = "MUNIMENT_HOME"
PASSPHRASE_VARIABLE = "MUNIMENT_PASSPHRASE_FILE"  # noqa: S105 - a name, not a secret
MAX_PASSPHRASE_BYTES = 1024
Area = Literal["secrets", "kept", "uploads", "cache", "certificates"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def _pq_identity(text: str, _what: str) -> str:
    PqIdentity.parse(text)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a person hands to the registrar: identity key (32 bytes), notes recipient, name."""

    format: Literal["muniment-identity/v1"] = "muniment-identity/v1"
    key: Key
    notes: Notes
    name: Annotated[str, Text(200)]


def format_card(card: Card) -> str:
    """Return the card's canonical text."""
    return format_json(write_record(card))


def parse_card(data: bytes) -> Card:
    """Read a card (`muniment-identity/v1`; a final newline is allowed). Raises BadInput."""
    value = parse_json(data.removesuffix(b"\n"), what="the identity card", max_bytes=16_384)
    card = read_record(Card, value, "the identity card")
    PqRecipient.parse(card.notes)
    return card


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeyFile:
    format: Literal["muniment-keys/v1"] = "muniment-keys/v1"
    seed: Annotated[bytes, Hex(32)] = field(repr=False)
    notes: Annotated[str, Parsed(_pq_identity)] = field(repr=False)
    name: Annotated[str, Text(200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Unlocked keys: the identity seed (32 bytes), the age identity for notes and for the person's own files."""

    seed: bytes = field(repr=False)
    notes: PqIdentity = field(repr=False)
    name: str

    @classmethod
    def generate(cls, name: str, rng: Rng) -> "Keys":
        """Make fresh keys from `rng(32)` twice."""
        return cls(seed=rng(32), notes=PqIdentity.generate(rng), name=name)

    @property
    def signer(self) -> Signer:
        """The identity key."""
        return Signer(self.seed)

    @property
    def card(self) -> Card:
        """The public card."""
        return Card(key=self.signer.public, notes=self.notes.recipient.format(), name=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the service is: one http or https URL, or several of the same registry."""

    service: Annotated[Service, ServiceField()]


class Home:
    """One person's folder. Nothing in it is read before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(
        cls, path: Path, *, name: str, passphrase: str, rng: Rng = os.urandom, log_n: int = LOG_N
    ) -> tuple["Home", Keys]:
        """Make the folder with fresh keys under the passphrase. Raises BadInput (already_there) over other keys."""
        home = cls(path)
        if home.identity_path.exists():
            raise BadInput(
                f"{home.identity_path} exists", "Choose another folder with MUNIMENT_HOME.", code="already_there"
            )
        keys = Keys.generate(name, rng)
        card = format_card(keys.card)
        parse_card(card.encode())  # refuses a bad name before anything is written
        make_folder(path)
        if os.name != "nt":
            path.chmod(0o700)
        text = format_json(write_record(_KeyFile(seed=keys.seed, notes=keys.notes.format(), name=name)))
        write_file(home.identity_path, encrypt_bytes(text.encode(), [Passphrase(passphrase, log_n=log_n)], rng))
        write_file(path / "identity.json", card.encode() + b"\n", mode=0o644)
        return home, keys

    @property
    def identity_path(self) -> Path:
        """The encrypted keys."""
        return self.path / "identity.age"

    def unlock(self, passphrase: str) -> Keys:
        """Open the keys. Raises BadInput (missing), Mismatch (wrong_passphrase, bad_payload)."""
        data = read_file(self.identity_path, "your identity", most=65_536)
        try:
            text = decrypt_bytes(data, [Passphrase(passphrase)])
        except Mismatch as error:
            if error.code != "no_matching_key":
                raise
            raise Mismatch(
                f"the passphrase does not open {self.identity_path}", "Type it again.", code="wrong_passphrase"
            ) from None
        value = parse_json(text, what="the key file", max_bytes=65_536)
        keys = read_record(_KeyFile, value, "the key file")
        return Keys(seed=keys.seed, notes=PqIdentity.parse(keys.notes), name=keys.name)

    def card(self) -> Card:
        """Read the public card. Raises BadInput."""
        return parse_card(read_file(self.path / "identity.json", "your identity card", most=16_384))

    def trust(self) -> Trust:
        """Read the trust file. Raises BadInput."""
        return parse_trust(read_file(self.path / "trust.json", "your trust file", most=MAX_TRUST_BYTES))

    def set_trust(self, text: bytes) -> Trust:
        """Check and keep a trust file. Raises BadInput."""
        trust = parse_trust(text)
        write_file(self.path / "trust.json", trust.text.encode() + b"\n")
        return trust

    def settings(self) -> Settings:
        """Read the settings. Raises BadInput."""
        data = read_file(self.path / "settings.json", "your settings file", most=16_384)
        return read_record(
            Settings, parse_json(data.removesuffix(b"\n"), what="the settings", max_bytes=16_384), "the settings"
        )

    def set_settings(self, settings: Settings) -> None:
        """Keep the settings."""
        write_file(self.path / "settings.json", format_json(write_record(settings)).encode() + b"\n")

    def checkpoint(self) -> str | None:
        """The last signed checkpoint that was accepted, verbatim, or None."""
        path = self.path / "checkpoint"
        return read_file(path, "your last checkpoint", most=1_000_000).decode() if path.exists() else None

    def set_checkpoint(self, signed: str) -> None:
        """Keep a checkpoint that was verified."""
        write_file(self.path / "checkpoint", signed.encode())

    def keep_fork(self, name: str, signed: str) -> Path:
        """Keep a checkpoint that contradicts the last one: evidence against the log. Returns where it lies."""
        path = self.path / "forks" / _checked(name)
        write_file(path, signed.encode())
        return path


class Vault:
    """The encrypted areas of a home: small values by name, sealed to the person's own post-quantum recipient."""

    def __init__(self, home: Home, keys: Keys, rng: Rng = os.urandom) -> None:
        self._home, self._keys, self._rng = home, keys, rng
        self._recipient = keys.notes.recipient

    def put(self, area: Area, name: str, data: bytes, *, durable: bool = True) -> None:
        """Encrypt and keep; durable on return if nothing else is said. A value of that name is replaced at once."""
        write_file(self._path(area, name), encrypt_bytes(data, [self._recipient], self._rng), durable=durable)

    def get(self, area: Area, name: str) -> bytes | None:
        """Return a value, or None. Raises Mismatch when the file was altered or is not for these keys."""
        path = self._path(area, name)
        if not _stands(path):
            return None
        return decrypt_bytes(read_file(path, f"the file {name}"), [self._keys.notes])

    def delete(self, area: Area, name: str, *, last: bool = True) -> None:
        """Overwrite and remove; see `files.destroy_file` for what that can promise, and for `last`.

        What a crash left aside while a value of that name was written goes too: it holds the same secret.
        """
        path = self._path(area, name)
        destroy_file(path, last=last)
        for aside in path.parent.glob(f".{path.name}.*"):
            destroy_file(aside)

    def names(self, area: Area) -> tuple[str, ...]:
        """The names in an area, sorted."""
        folder = self._home.path / area
        if not folder.is_dir():
            return ()
        found = (each for each in folder.iterdir() if each.name.endswith(".age") and _stands(each))
        return tuple(sorted(each.name.removesuffix(".age") for each in found))

    def _path(self, area: Area, name: str) -> Path:
        return self._home.path / area / f"{_checked(name)}.age"


def home_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the person's folder is: MUNIMENT_HOME, else the platform's place for application data."""
    given = environ.get(HOME_VARIABLE, "")
    return Path(given) if given else Path(platformdirs.user_data_path("muniment", appauthor=False))


def read_passphrase(
    prompt: str = "Passphrase: ", *, twice: bool = False, environ: Mapping[str, str] = os.environ
) -> str:
    """Take the passphrase from the file that MUNIMENT_PASSPHRASE_FILE names (its first line), or ask on the terminal.

    Raises BadInput (no_passphrase, passphrases_differ).
    """
    given = environ.get(PASSPHRASE_VARIABLE, "")
    if given:
        data = read_file(Path(given), "the passphrase file", most=MAX_PASSPHRASE_BYTES)
        try:
            line = data.decode("utf-8").split("\n", 1)[0].removesuffix("\r")
        except UnicodeDecodeError:
            raise BadInput(f"the passphrase file {given} is not UTF-8", "Write it again.", code="not_utf8") from None
        if not line:
            raise BadInput(f"the passphrase file {given} is empty", "Write a passphrase.", code="no_passphrase")
        return line
    if not sys.stdin.isatty():
        raise BadInput(
            "there is no terminal to ask for the passphrase",
            f"Name a file that holds it in {PASSPHRASE_VARIABLE}.",
            code="no_passphrase",
        )
    first = getpass.getpass(prompt)
    if twice and getpass.getpass("The same again: ") != first:
        raise BadInput("the two passphrases differ", "Try again.", code="passphrases_differ")
    return first


def _stands(path: Path) -> bool:
    """Whether a value is there. One that was overwritten, and whose removal a crash prevented, is not: an age file
    begins with a letter, and a destroyed one with a zero byte.
    """
    try:
        with path.open("rb") as file:
            return file.read(1) != b"\0"
    except FileNotFoundError:
        return False


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name[:80]!r} is not a name for a kept file", "Use letters, digits, '.', '_', '-'.")
    return name
