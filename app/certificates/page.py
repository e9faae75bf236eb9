"""Certificates set by typst as PDF/A-3a and PDF/UA-1: the same facts, the same bytes, for one version of typst.

People's words enter as data, never as source. The proof file and the office's text are attached to the file.
"""

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

from app.certificates.claims import TEMPLATE, Certificate, Renderer, format_certificate
from app.certificates.facts import Pages, make_pages
from app.certificates.text import font_folder
from app.errors import AppError
from app.statements.prooffile import ProofFile, format_proof_file

if TYPE_CHECKING:
    import typst

PROOF_NAME = "proof.json"
CERTIFICATE_NAME = "certificate.json"
RECORD_NAME = "record.json"
STANDARDS: tuple[Literal["a-3a"], Literal["ua-1"]] = ("a-3a", "ua-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A text that is attached as a file."""

    name: str
    text: str
    says: str
    mime: str = "application/json"


class NotSet(AppError):
    """The pages could not be set. That is a fault of this program: text is made printable before."""

    code = "pages_not_set"


def renderer() -> Renderer:
    """What sets pages here: the installed typst, and the number of the template."""
    return Renderer(typst=version("typst"), template=TEMPLATE)


def render(proof: ProofFile, certificate: Certificate, record: bytes | None = None) -> bytes:
    """Return the unsealed PDF. Deterministic; takes some 20 ms and lets other threads run. Raises NotSet, BadInput."""
    attached = [
        Attached(name=PROOF_NAME, text=format_proof_file(proof).decode(), says="The deposit's proof file"),
        Attached(name=CERTIFICATE_NAME, text=format_certificate(certificate), says="What the office adds"),
    ]
    if record is not None:
        attached.append(Attached(name=RECORD_NAME, text=record.decode(), says="The record of its release"))
    return set_pages(make_pages(proof, certificate, record), attached)


def set_pages(pages: Pages, attached: Sequence[Attached]) -> bytes:
    """Return the PDF of `pages`, with texts attached."""
    import typst  # noqa: PLC0415 - only who prints loads it

    issued = datetime.fromtimestamp(pages.issued, UTC)
    data = {
        **asdict(pages),
        "langs": pages.lang.split("+"),
        "date": [issued.year, issued.month, issued.day],
        "qr": _qr(pages.address),
        "attached": [asdict(each) for each in attached],
    }
    compiler = typst.Compiler(
        _template(),
        font_paths=_fonts(),
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
    )
    try:
        made = compiler.compile(format="pdf", pdf_standards=list(STANDARDS), timestamp=issued)
    except typst.TypstError as error:
        raise NotSet(f"the pages could not be set: {error}", "Report this with the deposit's id.") from error
    if not isinstance(made, bytes):
        raise NotSet("typst gave no PDF", "Report this.")
    # Some readers want a line's end after the last mark before a seal's section begins.
    return made + b"\n"


@cache
def _template() -> bytes:
    return (files("app.certificates") / "template.typ").read_bytes()


@cache
def _fonts() -> "typst.Fonts":
    import typst  # noqa: PLC0415

    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=True, font_paths=[sys.intern(str(font_folder()))]
    )


def _qr(text: str) -> str:
    import segno  # noqa: PLC0415

    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="svg", xmldecl=False, svgns=True, border=2)
    return out.getvalue().decode()
