"""What the issuing office adds to a proof, `muniment-certificate/v1`: attached to the certificate beside the proof.

Everything on the pages follows from the proof file and this text alone, so that a verifier can set the pages again and
compare. Canonical JSON, keys in the order of the fields below. It is the office's word, under its seal; `app.verify`
says which of it the proof bears out.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from app.canonical import format_json, parse_json
from app.errors import BadInput
from app.fields import Int, Many, Text, read_record, write_record
from app.statements.kinds import Digest

FORMAT = "muniment-certificate/v1"
TEMPLATE = 1
"""The number of the page template; a change that moves a single point on a page counts it up."""
MAX_CERTIFICATE_BYTES = 2 << 20

Lang = Literal["en", "zh", "en+zh"]
LEVELS = ("received", "witnessed", "timestamped", "anchored")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """What set the pages: the version of typst (the same version sets the same bytes) and of the template."""

    typst: Annotated[str, Text(20)]
    template: Annotated[int, Int(1, 10_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Who issues: name, the responsible person, how to reach them, and where a certificate can be checked."""

    name: Annotated[str, Text(200)]
    responsible: Annotated[str, Text(200)]
    contact: Annotated[str, Text(300)]
    verify: Annotated[str, Text(300)]
    """The address of the page that checks certificates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelNamed:
    """A panel that the deposit is sealed to, as the public record of the registry states it."""

    panel_id: Digest
    k: Annotated[int, Int(1, 255)]
    n: Annotated[int, Int(1, 255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """How sure the registry is who the depositor is: a registrar enrolled him, or an X.509 certificate is bound too."""

    assurance: Literal["enrolled", "certificate"]
    subject: Annotated[str, Text(300)] | None
    """The certificate's subject, as its authority wrote it."""
    issuer: Annotated[str, Text(300)] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Annex:
    """An annex for one legal order, in the office's own words (from a template that the office may edit)."""

    kind: Literal["cn", "eu", "us"]
    title: Annotated[str, Text(200)]
    text: Annotated[str, Text(50_000, lines=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate's own words. `issued` is Unix seconds; `zone` minutes east of UTC for the reader's form."""

    format: Literal["muniment-certificate/v1"] = "muniment-certificate/v1"
    renderer: Renderer
    number: Annotated[str, Text(64)]
    issued: Annotated[int, Int(0, 253_402_300_799)]
    zone: Annotated[int, Int(-840, 840)]
    lang: Lang
    office: Office
    trust: Digest
    """SHA-256 of the trust file under which the office checked the proof."""
    level: Literal["received", "witnessed", "timestamped", "anchored"]
    """What that check said."""
    panels: Annotated[tuple[PanelNamed, ...], Many(least=1, most=3)]
    identity: Identity
    opened: Digest | None
    """SHA-256 of the release record that is attached too, and shows what an opening found; None: none is shown."""
    annexes: Annotated[tuple[Annex, ...], Many(most=3)]


def format_certificate(certificate: Certificate) -> str:
    """Return the text that is attached. Raises BadInput for what `parse_certificate` would refuse."""
    text = format_json(write_record(certificate))
    parse_certificate(text.encode())
    return text


def parse_certificate(data: bytes) -> Certificate:
    """Read the attached text. Raises BadInput (the codes of `app.canonical` and `app.fields`, not_a_certificate)."""
    what = "the certificate's own text"
    value = parse_json(data, what=what, max_bytes=MAX_CERTIFICATE_BYTES)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise BadInput(f"{what} is not of the format {FORMAT}", "Name a certificate.", code="not_a_certificate")
    found = read_record(Certificate, value, "")
    kinds = [each.kind for each in found.annexes]
    if kinds != sorted(set(kinds)):
        raise BadInput(f"{what}: the annexes are {', '.join(kinds)}", "Each once, in order.", code="bad_field")
    return found
