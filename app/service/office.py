"""The issuing office: one TOML file beside `muniment.toml` that the setting `office` names. Without it none is issued.

    name = "Registry of the Court"        # printed as the issuer, and in the drawn seal
    responsible = "Dr. A. Example"        # the responsible (and, for US annexes, qualified) person
    contact = "registry@court.example"
    verify = "https://court.example/verify"
    operator = "the court's IT department"  # for annexes
    conflicts = "none"
    zone_minutes = 60                     # the reader's zone on certificates, east of UTC
    trust = "trust.json"                  # the court's own trust file: proofs are checked under it
    seal_key = "keys/seal.pem"            # PKCS#8, without a passphrase, readable by the service alone
    # or, instead of seal_key, on a token:
    # seal_pkcs11 = {module = "/usr/lib/softhsm/libsofthsm2.so", token = "Court", label = "seal", pin_env = "SEAL_PIN"}
    seal_certificates = "keys/seal-chain.pem"   # the seal's certificate, then those above it
    tsa = ["http://tsa.example/one", "http://tsa.example/two"]
    annexes = "annexes"                   # optional: a folder with annex texts of the office's own

Relative paths are relative to the file.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from app.certificates.claims import Office
from app.certificates.tokenplace import Token
from app.errors import BadInput

_TEXTS = ("name", "responsible", "contact", "verify", "operator", "conflicts")
_PATHS = ("trust", "seal_certificates")
_TOKEN = ("module", "token", "label", "pin_env")
_KEYS = (*_TEXTS, "zone_minutes", *_PATHS, "seal_key", "seal_pkcs11", "tsa", "annexes")
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
MAX_TEXT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeSettings:
    """What an office needs to issue certificates. Paths are absolute; `zone` is minutes east of UTC."""

    office: Office
    operator: str
    conflicts: str
    zone: int
    trust: Path
    seal_key: Path | Token
    """A file, or where on a token the key is."""
    seal_certificates: Path
    tsa: tuple[str, ...]
    annexes: Path | None


def load_office(file: Path) -> OfficeSettings:
    """Read the office's file. Raises BadInput (`bad_setting`) that names the key, the value and the remedy."""
    try:
        table = tomllib.loads(file.read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(
            f"the setting 'office' names {file}, which cannot be read: {error}",
            "Name the office's TOML file, or leave the setting out: then no certificates are issued.",
            code="bad_setting",
        ) from error
    for key in table:
        if key not in _KEYS:
            raise _bad(file, key, "is not a setting", f"The settings are {', '.join(_KEYS)}.")
    texts = {key: _text(file, table, key) for key in (*_TEXTS, *_PATHS)}
    zone = table.get("zone_minutes", 0)
    if not isinstance(zone, int) or isinstance(zone, bool) or not -840 <= zone <= 840:
        raise _bad(file, "zone_minutes", f"is {zone!r}", "Write minutes east of UTC, -840 to 840.")
    tsa = table.get("tsa", [])
    if not isinstance(tsa, list) or not tsa or not all(isinstance(each, str) and _address(each) for each in tsa):
        raise _bad(file, "tsa", f"is {tsa!r}", "List the addresses of one or more time-stamp authorities.")
    folder = file.absolute().parent
    return OfficeSettings(
        office=Office(**{key: texts[key] for key in ("name", "responsible", "contact", "verify")}),
        operator=texts["operator"],
        conflicts=texts["conflicts"],
        zone=zone,
        trust=folder / texts["trust"],
        seal_key=_seal(file, table),
        seal_certificates=folder / texts["seal_certificates"],
        tsa=tuple(tsa),
        annexes=folder / _text(file, table, "annexes") if "annexes" in table else None,
    )


def _seal(file: Path, table: dict[str, object]) -> Path | Token:
    given = table.get("seal_pkcs11")
    if given is None or "seal_key" in table:
        if given is not None:
            raise _bad(file, "seal_pkcs11", "stands beside seal_key", "Name a file or a token, not both.")
        return file.absolute().parent / _text(file, table, "seal_key")
    if not isinstance(given, dict) or set(given) != set(_TOKEN):
        # Not the value: somebody may have written the PIN into it.
        raise _bad(file, "seal_pkcs11", "is not a table of four texts", f"Write {', '.join(_TOKEN)}; never the PIN.")
    module, token, label, pin_env = (_text(file, given, key) for key in _TOKEN)
    if not _VARIABLE.fullmatch(pin_env):
        raise _bad(file, "pin_env", "is no name of an environment variable", "Write letters, digits and '_'.")
    return Token(module=file.absolute().parent / module, token=token, label=label, pin_env=pin_env)


def _text(file: Path, table: dict[str, object], key: str) -> str:
    value = table.get(key)
    most = 200 if key in ("name", "responsible") else MAX_TEXT
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
        raise _bad(file, key, f"is {value!r}", f"Write 1 to {most} printable characters.")
    return value


def _address(text: str) -> bool:
    return text.startswith(("http://", "https://")) and text.isprintable() and " " not in text


def _bad(file: Path, key: str, problem: str, remedy: str) -> BadInput:
    return BadInput(f"{file}: {key} {problem}", remedy, code="bad_setting")
