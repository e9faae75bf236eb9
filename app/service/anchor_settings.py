"""Who anchors this registry: `anchors.toml`, named by the setting `anchors`, parsed once into a frozen value.

    every_minutes = 60               # how often a new checkpoint is anchored, when there is news; or every_seconds
    upgrade_seconds = 1800           # how often a calendar is asked whether Bitcoin has confirmed
    tsa_quorum = 2                   # with so many time-stamps a checkpoint is done; by default all
    header_quorum = 2                # so many header sources must agree; 1 for a node of one's own
    header_sources = ["https://…/api", …]       # in the manner of Esplora

    [[tsa]]
    name = "…"                       # for people
    url = "https://…"
    roots = ["root.pem"]             # files, relative to this one
    subject = "…"                    # the common name of its certificate, where it shares a root with another

    [[calendar]]
    url = "https://a.pool.opentimestamps.org"
    pending = ["https://alice.btc.calendar.opentimestamps.org"]   # further addresses that its replies may name

    [bitcoin]                        # another chain than Bitcoin's, for trials: height, hash, limit, floor, retarget

Addresses that a proof names are asked only when they are one of these, character for character.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import AppError, BadInput
from app.statements.trust_time import TsaTrust, make_authority, read_headers, read_tsa, tsa_json
from ledger.anchors.headers import Checkpoint
from ledger.anchors.mainnet import CHECKPOINT
from ledger.anchors.tsa_chain import Authority

_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,253}(?:/[\x21-\x7e]{0,500})?\Z")
_RANGES = {
    "every_minutes": (1, 10_080),
    "upgrade_seconds": (1, 86_400),
    "tsa_quorum": (1, 16),
    "header_quorum": (1, 8),
    "every_seconds": (1, 604_800),
}
_KEYS = (
    "every_minutes",
    "every_seconds",
    "upgrade_seconds",
    "tsa_quorum",
    "header_quorum",
    "header_sources",
    "tsa",
    "calendar",
    "bitcoin",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TsaPlace:
    """A time-stamp authority and where it is asked."""

    url: str
    authority: Authority

    @property
    def name(self) -> str:
        """What people call it."""
        return self.authority.name


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarPlace:
    """A calendar: where digests are submitted, and the addresses under which it may promise them."""

    url: str
    addresses: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorTerms:
    """Everything that the scheduler needs to know."""

    tsas: tuple[TsaPlace, ...]
    tsa_quorum: int
    calendars: tuple[CalendarPlace, ...]
    header_sources: tuple[str, ...]
    header_quorum: int
    bitcoin: Checkpoint
    every_seconds: int = 3600
    upgrade_seconds: int = 1800

    @property
    def authorities(self) -> tuple[Authority, ...]:
        """All time-stamp authorities, as a verifier lists them."""
        return tuple(each.authority for each in self.tsas)

    @property
    def addresses(self) -> frozenset[str]:
        """Every address that a pending attestation may name and that is asked."""
        return frozenset().union(*(each.addresses for each in self.calendars)) if self.calendars else frozenset()


def load_anchor_terms(file: Path) -> AnchorTerms:
    """Read `anchors.toml`. Raises BadInput (`bad_setting`)."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(
            f"the setting 'anchors' names {file}, which cannot be read: {error}",
            "Write it as docs/operate/anchors.md shows, or leave the setting out.",
            code="bad_setting",
        ) from error
    return parse_anchor_terms(table, folder=file.absolute().parent)


def parse_anchor_terms(table: Mapping[str, Any], *, folder: Path) -> AnchorTerms:
    """Check a parsed table; `folder` is what root certificates are relative to. Raises BadInput (`bad_setting`)."""
    for key in table:
        if key not in _KEYS:
            raise _bad(key, "is not a setting of anchors", f"The settings are {', '.join(_KEYS)}.")
    tsas = tuple(_tsa(each, number, folder) for number, each in enumerate(_tables(table, "tsa"), 1))
    calendars = tuple(_calendar(each, number) for number, each in enumerate(_tables(table, "calendar"), 1))
    if not tsas and not calendars:
        raise _bad("anchors", "names neither a [[tsa]] nor a [[calendar]]", "Name one, or leave the setting out.")
    if tsas:
        # The rules of a trust file hold here too: one operator shall not be counted twice.
        authorities = tuple(each.authority for each in tsas)
        try:
            read_tsa(tsa_json(TsaTrust(m=1, authorities=authorities)), "tsa")
        except AppError as error:
            raise _bad("tsa", f"cannot be told apart: {error.message}", error.next_step) from error
    sources = _urls(table.get("header_sources", []), "header_sources")
    header_quorum = _number(table, "header_quorum", 2)
    tsa_quorum = _number(table, "tsa_quorum", max(1, len(tsas)))
    if tsas and tsa_quorum > len(tsas):
        raise _bad("tsa_quorum", f"is {tsa_quorum} of {len(tsas)} authorities", "Name more, or ask for fewer.")
    if calendars and len(sources) < header_quorum:
        raise _bad(
            "header_sources",
            f"has {len(sources)}, and {header_quorum} must agree",
            "Name at least three, or one node of your own with header_quorum = 1.",
        )
    return AnchorTerms(
        tsas=tsas,
        tsa_quorum=tsa_quorum,
        calendars=calendars,
        header_sources=sources,
        header_quorum=header_quorum,
        bitcoin=_bitcoin(table.get("bitcoin")),
        every_seconds=_number(table, "every_seconds", 60 * _number(table, "every_minutes", 60)),
        upgrade_seconds=_number(table, "upgrade_seconds", 1800),
    )


def _tsa(value: Mapping[str, Any], number: int, folder: Path) -> TsaPlace:
    what = f"tsa {number}"
    _only(value, ("name", "url", "roots", "subject"), what)
    roots = value.get("roots")
    if not isinstance(roots, list) or not roots or not all(isinstance(each, str) for each in roots):
        raise _bad(what, "has no roots", 'Add roots = ["root.pem"].')
    ders = []
    for each in roots:
        try:
            ders.append((folder / each).read_bytes())
        except OSError as error:
            raise _bad(
                what, f"names the root {each}, which cannot be read: {error.strerror}", "Put it there."
            ) from error
    try:
        authority = make_authority(
            _text(value, "name", what), ders, _text(value, "subject", what, optional=True) or None
        )
    except AppError as error:
        raise _bad(what, f"has a bad root: {error.message}", error.next_step) from error
    return TsaPlace(url=_url(_text(value, "url", what), what), authority=authority)


def _calendar(value: Mapping[str, Any], number: int) -> CalendarPlace:
    what = f"calendar {number}"
    _only(value, ("url", "pending"), what)
    url = _url(_text(value, "url", what), what)
    return CalendarPlace(url=url, addresses=frozenset({url, *_urls(value.get("pending", []), f"pending of {what}")}))


def _bitcoin(value: object) -> Checkpoint:
    if value is None:
        return CHECKPOINT
    if not isinstance(value, dict):
        raise _bad("bitcoin", "is no table", "Write it as [bitcoin].")
    keys = ("height", "hash", "limit", "floor", "retarget")
    _only(value, keys, "bitcoin")
    try:
        ordered = {key: value[key] for key in keys if key in value}
        return read_headers({**ordered, "chain": ""}, "bitcoin").checkpoint
    except AppError as error:
        raise _bad(
            "bitcoin", f"is not a header checkpoint: {error.message}", "Leave it out for Bitcoin's own."
        ) from error


def _tables(table: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    found = table.get(key, [])
    if not isinstance(found, list) or len(found) > 16 or not all(isinstance(each, dict) for each in found):
        raise _bad(key, "is no list of at most 16 tables", f"Write each as [[{key}]].")
    return found


def _urls(value: object, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value) or len(set(value)) != len(value):
        raise _bad(what, "is no list of different addresses", 'Write it as ["https://…"].')
    return tuple(_url(each, what) for each in value)


def _url(text: str, what: str) -> str:
    if not _URL.match(text):
        raise _bad(
            what, f"names {text[:100]!r}", "Write an address that begins with https:// (or http:// on loopback)."
        )
    return text.rstrip("/")


def _text(value: Mapping[str, Any], key: str, what: str, *, optional: bool = False) -> str:
    found = value.get(key, "" if optional else None)
    if not isinstance(found, str) or (not found and not optional) or len(found) > 600 or not found.isprintable():
        raise _bad(what, f"has the {key} {str(found)[:100]!r}", f'Add a line {key} = "…".')
    return found


def _only(value: Mapping[str, Any], keys: Sequence[str], what: str) -> None:
    for key in value:
        if key not in keys:
            raise _bad(what, f"has the key {key[:60]!r}", f"The keys are {', '.join(keys)}.")


def _number(table: Mapping[str, Any], key: str, default: int) -> int:
    value, (least, most) = table.get(key, default), _RANGES[key]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _bad(key, f"is {str(value)[:100]!r}", f"Write a whole number from {least} to {most}.")
    return value


def _bad(key: str, problem: str, remedy: str) -> BadInput:
    return BadInput(f"anchors: {key[:60]!r} {problem}", remedy, code="bad_setting")
