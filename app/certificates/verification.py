"""What a verification found, on pages: for a file that is to lie beside the certificate. A report, not a proof.

Whoever reads it believes whoever made it, or its seal where it has one; `muniment verify` again is better.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.canonical import format_json
from app.certificates.facts import Line, Pages, Row, Section, exact_time
from app.certificates.page import Attached, set_pages
from app.certificates.text import printable

VERDICT_NAME = "verdict.json"
MOST_LINES = 2000
_SAID = {
    "verified": ("Verified.", "good"),
    "does_not_match": ("Does not match.", "bad"),
    "cannot_tell": ("Cannot be told with what is known here.", "open"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """One verification: the answer, the files (name, SHA-256 in hex), the checks, all that was said."""

    outcome: str
    files: tuple[tuple[str, str], ...]
    trust_sha256: str
    checks: tuple[tuple[str, bool, str], ...]
    """Name, whether it held, and what was found."""
    lines: tuple[str, ...]
    verdict: dict[str, object]
    at: int
    """Unix seconds by the clock of whoever verified."""
    by: str
    """Who made it: the office's name, or a word for nobody."""


def render_verification(found: Verification) -> bytes:
    """Return the unsealed PDF, with the verdict as JSON attached."""
    words, style = _SAID[found.outcome]
    when = Line(text=exact_time(found.at))
    pages = Pages(
        lang="en",
        titles=("Report of a Verification",),
        number=exact_time(found.at),
        issued=found.at,
        office=printable(found.by),
        head=(Row(label="Verified at", values=(when,)),),
        summary_title="Answer",
        summary=(
            f"{words} This report says what a program found at that time, under the trust file named below. "
            "It is worth what whoever made it is worth: verify again to be sure.",
        ),
        sections=(
            Section(
                title="What was looked at",
                rows=(
                    Row(label="Answer", values=(Line(text=words, style=style),)),  # type: ignore[arg-type]
                    *(
                        Row(
                            label="File",
                            values=(Line(text=printable(name), style="quote"), Line(text=digest, style="hex")),
                        )
                        for name, digest in found.files
                    ),
                    Row(label="Trust file (SHA-256)", values=(Line(text=found.trust_sha256, style="hex"),)),
                ),
            ),
            Section(
                title="The checks",
                rows=tuple(
                    Row(
                        label=printable(name),
                        values=(
                            Line(text="holds" if held else "FAILS", style="good" if held else "bad"),
                            Line(text=printable(detail)),
                        ),
                    )
                    for name, held, detail in found.checks
                ),
            ),
            Section(title="In full", points=_points(found.lines)),
        ),
        page_of="Page {page} of {pages}",
        qr_words="The trust file",
        address=f"sha256:{found.trust_sha256}",
    )
    text = format_json(found.verdict)
    return set_pages(pages, (Attached(name=VERDICT_NAME, text=text, says="The verdict as programs read it"),))


def _points(lines: Sequence[str]) -> tuple[str, ...]:
    kept = [printable(each.strip()) for each in lines if each.strip()]
    left = len(kept) - MOST_LINES
    return (*kept[:MOST_LINES], f"and {left} lines more") if left > 0 else tuple(kept)
