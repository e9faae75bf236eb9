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
    seal_certificates = "keys/seal-chain.pem"   # the seal's certificate, then those above it
    tsa = ["http://tsa.example/one", "http://tsa.example/two"]
    annexes = "annexes"                   # optional: a folder with annex texts of the office's own

Relative paths are relative to the file.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from app.certificates.claims import Office
from app.errors import BadInput

_TEXTS = ("name", "responsible", "contact", "verify", "operator", "conflicts")
_PATHS = ("trust", "seal_key", "seal_certificates")
_KEYS = (*_TEXTS, "zone_minutes", *_PATHS, "tsa", "annexes")
MAX_TEXT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeSettings:
    """What an office needs to issue certificates. Paths are absolute; `zone` is minutes east of UTC."""

    office: Office
    operator: str
    conflicts: str
    zone: int
    trust: Path
    seal_key: Path
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
        seal_key=folder / texts["seal_key"],
        seal_certificates=folder / texts["seal_certificates"],
        tsa=tuple(tsa),
        annexes=folder / _text(file, table, "annexes") if "annexes" in table else None,
    )


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
