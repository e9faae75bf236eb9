"""The settings of one registry: `muniment.toml`, overridden by `MUNIMENT_…` variables, parsed once into a frozen value.

Every key that is missing, unknown or badly set is an error that names the key, quotes the value and says what to write
instead. Relative paths are relative to the file. Without `records` and `blobs` both lie beside the file.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from app.canonical import hex_decode
from app.errors import BadInput
from ledger.errors import LedgerError
from ledger.text import check_key_name
from storage.errors import BadName
from storage.urls import FilesPlace, SqlitePlace, parse_blob_place, parse_record_place

FILE_NAME = "muniment.toml"
PREFIX = "MUNIMENT_"
DAY = 86_400
MAX_MIB = 999_999_999
"""Almost a PiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A registry's settings. Paths are absolute; `records` and `blobs` are store URLs."""

    origin: str
    """The ledger's origin: its log key's name, a schema-less URL."""
    genesis: bytes
    """The digest of the one genesis that this registry takes, 32 bytes."""
    host: str
    port: int
    """0 takes a free port; the line that `serve` prints names it."""
    records: str
    blobs: str
    log_key: Path
    service_key: Path
    uploads: str = "auto"
    """How segments reach the store: `auto`, `proxy` or `presigned` (`app.service.arrivals.UploadMode`)."""
    provisional_lock_days: int = 7
    """How long a segment is locked when it arrives."""
    quota_mib: int = 0
    """How many MiB a member may have in the store, provisional uploads and accepted deposits together; 0: no limit."""
    quotas: tuple[tuple[str, int], ...] = ()
    """Members (ids) who have another quota than all, in MiB; 0: no room. The table `[quotas]`."""
    retention_days: int = 10_950
    """How long the segments of an accepted deposit are locked, counted from its leaf's time."""
    checkpoint_seconds: int = 1
    """How often a process takes over what others appended, and keeps what it published, at the latest."""
    batch_milliseconds: int = 5
    """How long the sequencer gathers statements into one batch."""
    shutdown_seconds: int = 30
    """How long a stop waits for answers that are under way."""
    witnesses: Path | None = None
    """A C2SP policy: this log, its witnesses with their URLs, and the quorum that completes a publication."""
    publication_milliseconds: int = 1000
    """The cadence: how often checkpoints are published when there is news."""
    witness_milliseconds: int = 2000
    """With witnesses: how long a publication waits for those that are expected to answer."""
    scrub_hours: int = 24
    """How often the service reads all stored batches again, in the background; 0: never."""
    log: str = "text"
    """How the log's lines are written: `text` or `json` (`app.logs.LogForm`)."""
    metrics: tuple[str, int] | None = None
    """Host and port of `/metrics`; None: no metrics are served."""
    anchors: Path | None = None
    """Who anchors the ledger: `anchors.toml` (`app.service.anchor_settings`)."""
    office: Path | None = None
    """The issuing office's file (`app.service.office`); None: no certificates are issued."""
    published: Path
    """Where the newest published checkpoint is kept: outside the record store."""


_KEYS = (
    "origin",
    "genesis",
    "listen",
    "records",
    "blobs",
    "log_key",
    "service_key",
    "uploads",
    "provisional_lock_days",
    "quota_mib",
    "quotas",
    "retention_days",
    "checkpoint_seconds",
    "batch_milliseconds",
    "shutdown_seconds",
    "witnesses",
    "publication_milliseconds",
    "witness_milliseconds",
    "scrub_hours",
    "office",
    "published",
    "anchors",
    "metrics",
    "log",
)
_RANGES = {
    "provisional_lock_days": (1, 90),
    "quota_mib": (0, MAX_MIB),
    "retention_days": (1, 36_500),
    "checkpoint_seconds": (1, 3600),
    "batch_milliseconds": (0, 1000),
    "shutdown_seconds": (1, 600),
    "publication_milliseconds": (20, 3_600_000),
    "witness_milliseconds": (50, 60_000),
    "scrub_hours": (0, 8760),
}
UPLOADS = ("auto", "proxy", "presigned")
LOGS = ("text", "json")
_DEFAULTS: dict[str, object] = {
    "listen": "127.0.0.1:8080",
    "log_key": "keys/log.pem",
    "service_key": "keys/service.pem",
    "published": "published.checkpoint",
    "uploads": "auto",
    "log": "text",
}
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9a-fA-F:.]{2,45}\])\Z")


def load_settings(file: Path, environ: Mapping[str, str]) -> Settings:
    """Read `file` and lay `MUNIMENT_…` variables over it. Raises BadInput (`bad_setting`, `no_config`)."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise BadInput(
            f"the configuration {file} cannot be read: {error.strerror}",
            "Name a folder that `muniment init` made (--dir), or a configuration file (--config).",
            code="no_config",
        ) from error
    try:
        table: dict[str, object] = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} is not TOML: {error}", "Correct that line.", code="no_config") from error
    return parse_settings(table, environ, folder=file.absolute().parent)


def parse_settings(table: Mapping[str, object], environ: Mapping[str, str], *, folder: Path) -> Settings:
    """Check a parsed table; `folder` (absolute) is what relative paths are relative to. Raises BadInput."""
    for key in table:
        if key not in _KEYS:
            raise _bad(key, "is not a setting", f"The settings are {', '.join(_KEYS)}.")
    found: dict[str, object] = {**_DEFAULTS, **table}
    for key in _KEYS:
        if PREFIX + key.upper() in environ:
            found[key] = _from_text(key, environ[PREFIX + key.upper()])
    host, port = parse_listen(_text(found, "listen"))
    return Settings(
        origin=_origin(_text(found, "origin")),
        genesis=_genesis(_text(found, "genesis")),
        host=host,
        port=port,
        records=_place(found, "records", folder),
        blobs=_place(found, "blobs", folder),
        log_key=folder / _text(found, "log_key"),
        service_key=folder / _text(found, "service_key"),
        published=folder / _text(found, "published"),
        witnesses=folder / _text(found, "witnesses") if "witnesses" in found else None,
        anchors=folder / _text(found, "anchors") if "anchors" in found else None,
        metrics=parse_listen(_text(found, "metrics"), "metrics") if "metrics" in found else None,
        quotas=_quotas(found.get("quotas", {})),
        office=folder / _text(found, "office") if "office" in found else None,
        uploads=_choice(_text(found, "uploads"), "uploads", UPLOADS),
        log=_choice(_text(found, "log"), "log", LOGS),
        **{key: _number(found[key], key, *_RANGES[key]) for key in _RANGES if key in found},
    )


def format_settings(settings: Settings, *, folder: Path) -> str:
    """Return the text of a `muniment.toml` in `folder` that `load_settings` reads as `settings`."""

    def path(value: Path) -> str:
        return value.relative_to(folder).as_posix() if value.is_relative_to(folder) else value.as_posix()

    lines = ["# One registry. Every key can be overridden by an environment variable: MUNIMENT_LISTEN, ….\n"]
    values: dict[str, object] = {
        "origin": settings.origin,
        "genesis": settings.genesis.hex(),
        "listen": format_listen(settings.host, settings.port),
        "log_key": path(settings.log_key),
        "service_key": path(settings.service_key),
        "published": path(settings.published),
    }
    if settings.uploads != "auto":
        values["uploads"] = settings.uploads
    if settings.witnesses is not None:
        values["witnesses"] = path(settings.witnesses)
    if settings.anchors is not None:
        values["anchors"] = path(settings.anchors)
    if settings.log != "text":
        values["log"] = settings.log
    if settings.metrics is not None:
        values["metrics"] = format_listen(*settings.metrics)
    if settings.office is not None:
        values["office"] = path(settings.office)
    # Left out where they lie beside the file, so that the folder can be moved.
    for key in ("records", "blobs"):
        if getattr(settings, key) != _place({}, key, folder):
            values[key] = getattr(settings, key)
    values |= {each.name: getattr(settings, each.name) for each in fields(settings) if each.name in _RANGES}
    for key in _KEYS:
        if key in values:
            value = values[key]
            lines.append(f"{key} = {value}\n" if isinstance(value, int) else f"{key} = {_quoted(str(value))}\n")
    if settings.quotas:
        # A table ends the keys before it, so it stands last.
        lines.append("\n[quotas]\n")
        lines += [f"{_quoted(member)} = {mib}\n" for member, mib in settings.quotas]
    return "".join(lines)


def format_listen(host: str, port: int) -> str:
    """Return `HOST:PORT`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_listen(text: str, key: str = "listen") -> tuple[str, int]:
    """Return host and port of `HOST:PORT` (`[::1]:8080` for IPv6). Raises BadInput."""
    host, colon, port = text.rpartition(":")
    if not colon or not _HOST.match(host) or not re.fullmatch(r"0|[1-9][0-9]{0,4}", port, re.ASCII):
        raise _bad(key, f"is {text[:100]!r}", "Write it as HOST:PORT, for instance 127.0.0.1:8080.")
    if int(port) > 65_535:
        raise _bad(key, f"names the port {port}", "Ports end at 65535.")
    return host.strip("[]"), int(port)


def _from_text(key: str, text: str) -> object:
    if key == "quotas":
        raise _bad(key, f"is set by {PREFIX}QUOTAS", "Write the table [quotas] into the file.")
    if key not in _RANGES:
        return text
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
        raise _bad(key, f"is {text[:100]!r} (from {PREFIX}{key.upper()})", "Write a whole number.")
    return int(text)


def _text(found: Mapping[str, object], key: str) -> str:
    value = found.get(key)
    if value is None:
        raise _bad(key, "is missing", f'Add a line {key} = "…", or set {PREFIX}{key.upper()}.')
    if not isinstance(value, str) or not value or not value.isprintable():
        raise _bad(key, f"is {str(value)[:100]!r}", "Write it as a text in quotes, without control characters.")
    return value


def _number(value: object, key: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _bad(key, f"is {str(value)[:100]!r}", f"Write a whole number from {least} to {most}.")
    return value


def _quotas(value: object) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, dict):
        raise _bad("quotas", f"is {str(value)[:100]!r}", 'Write a table: [quotas], then lines "MEMBER" = MIB.')
    for member in value:
        if not re.fullmatch(r"[A-Za-z0-9_-]{43}", member, re.ASCII):
            raise _bad("quotas", f"names {member[:100]!r}", "Write a member's id: 43 characters.")
    return tuple((member, _number(mib, "quotas", 0, MAX_MIB)) for member, mib in value.items())


def _choice(text: str, key: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise _bad(key, f"is {text[:100]!r}", f"Write one of {', '.join(choices)}.")
    return text


def _origin(text: str) -> str:
    try:
        check_key_name(text, "origin")
    except LedgerError as error:
        raise _bad("origin", f"is {text[:100]!r}", error.message) from error
    if len(text) > 200:
        raise _bad("origin", f"has {len(text)} characters", "At most 200 are allowed.")
    return text


def _genesis(text: str) -> bytes:
    try:
        return hex_decode(text, "genesis", 32)
    except BadInput as error:
        raise _bad("genesis", f"is {text[:100]!r}", "Write the genesis digest: 64 lowercase hex digits.") from error


def _place(found: Mapping[str, object], key: str, folder: Path) -> str:
    if key not in found:
        beside = folder.as_posix().rstrip("/")
        if key == "records":
            return SqlitePlace(path=f"{beside}/records.sqlite").url
        return FilesPlace(path=f"{beside}/blobs").url
    url = _text(found, key)
    try:
        if key == "records":
            parse_record_place(url)
        else:
            parse_blob_place(url)
    except BadName as error:
        # The URL is not repeated: it may hold a password.
        raise _bad(key, f"is not usable: {error.message}", error.next_step) from error
    return url


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _bad(key: str, problem: str, remedy: str) -> BadInput:
    return BadInput(f"the setting {key[:60]!r} {problem}", remedy, code="bad_setting")
