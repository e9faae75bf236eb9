"""Annexes for one legal order each: plain text with `$places`, which the office may replace with its own files.

The text is data: it is filled in, made printable and printed; it is never read as source. A file `cn.en.txt` (kind and
language) in the office's folder takes the place of the one that comes with the program. The first line is the title.
"""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from app.certificates.claims import Annex, Lang, Office
from app.certificates.facts import Shown, exact_time
from app.errors import BadInput

KINDS = ("cn", "eu", "us")
MAX_TEMPLATE_BYTES = 40_000
PLACES = (
    "office",
    "responsible",
    "number",
    "origin",
    "index",
    "received",
    "operator",
    "conflicts",
    "vouchers",
    "qualified",
)
_NONE_QUALIFIED = {
    "en": "None of the time-stamp authorities is claimed to be qualified.",
    "zh": "不主张任何时间戳机构为合格机构。",
}
_VOUCHERS = {
    "en": ("the registry's clock", "cosignatures by {names}", "time-stamps by {names}"),
    "zh": ("登记机构时钟", "{names} 的共同签名", "{names} 的时间戳"),
}


def make_annexes(
    kinds: Sequence[str],
    *,
    shown: Shown,
    number: str,
    lang: Lang,
    office: Office,
    operator: str,
    conflicts: str,
    folder: Path | None = None,
) -> tuple[Annex, ...]:
    """Return the annexes of these kinds, filled in. `folder` is where the office keeps texts of its own.

    Raises BadInput (unknown_annex, bad_annex) naming the file and what is wrong with it.
    """
    made = []
    for kind in sorted(set(kinds)):
        if kind not in KINDS:
            raise BadInput(f"there is no annex {kind!r}", f"Name {', '.join(KINDS)}.", code="unknown_annex")
        titles, bodies = [], []
        for language in lang.split("+"):
            values = {
                "office": office.name,
                "responsible": office.responsible,
                "number": number,
                "origin": shown.origin,
                "index": str(shown.index),
                "received": exact_time(shown.time),
                "operator": operator,
                "conflicts": conflicts,
                "vouchers": _vouchers(shown, language),
                "qualified": _NONE_QUALIFIED[language],
            }
            title, body = _fill(f"{kind}.{language}.txt", values, folder)
            titles.append(title)
            bodies.append(body)
        made.append(Annex(kind=kind, title=" / ".join(titles)[:200], text="\n".join(bodies)))  # type: ignore[arg-type]
    return tuple(made)


def _vouchers(shown: Shown, language: str) -> str:
    clock, cosigned, stamped = _VOUCHERS[language]
    words = [clock]
    if shown.signers[1:]:
        words.append(cosigned.format(names=", ".join(shown.signers[1:])))
    if shown.stampers:
        words.append(stamped.format(names=", ".join(shown.stampers)))
    return "; ".join(words)


def _fill(name: str, values: dict[str, str], folder: Path | None) -> tuple[str, str]:
    own = folder / name if folder is not None else None
    place = own if own is not None and own.is_file() else files("app.certificates") / "annexes" / name
    try:
        data = place.read_bytes()
        text = data[: MAX_TEMPLATE_BYTES + 1].decode("utf-8")
        if len(data) > MAX_TEMPLATE_BYTES:
            raise ValueError(f"it has more than {MAX_TEMPLATE_BYTES} bytes")
        unknown = sorted(set(Template(text).get_identifiers()) - set(PLACES))
        if unknown:
            raise ValueError(f"it has the places {', '.join(unknown)}, which nothing fills")
        title, _, body = Template(text).substitute(values).replace("\r\n", "\n").partition("\n")
        if not title.strip() or not body.strip():
            raise ValueError("its first line is the title, and a text must follow")
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"the annex {place} cannot be used: {error}",
            f"Places are {', '.join('$' + each for each in PLACES)}; write $$ for a dollar sign.",
            code="bad_annex",
        ) from error
    return title.strip(), "\n".join(line.strip() for line in body.split("\n") if line.strip())
