"""What was appended to a sealed PDF, and whether anything but status, time-stamps and dates changed.

pyHanko's own comparison takes a changed title in appended metadata for an ordinary update, so metadata are compared
here: document information and XMP must stay as they were under the seal, but for the dates and the tool of a change.
"""

from collections.abc import Iterator
from typing import Any, NoReturn

from lxml import etree
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import HistoricalResolver, PdfFileReader

from app.errors import BadInput, Mismatch

MAX_XMP_BYTES = 1 << 20
_CHANGEABLE = frozenset({"ModifyDate", "MetadataDate", "Producer", "xmptk"})
_INFO_CHANGEABLE = frozenset({"/ModDate", "/Producer"})


def check_metadata(reader: PdfFileReader) -> None:
    """Check every revision's metadata against those under the seal. Raises Mismatch (metadata_changed)."""
    count = reader.xrefs.total_revisions
    if count < 2:
        return
    information = [_information(reader.get_historical_resolver(each)) for each in range(count)]
    under_seal = _xmp(reader.get_historical_resolver(1))
    for number in range(1, count):
        if information[number] != information[0]:
            _changed(number, "the document information")
        if number > 1 and _xmp(reader.get_historical_resolver(number)) != under_seal:
            _changed(number, "the XMP metadata")


def attachment(reader: PdfFileReader, name: str, most: int) -> bytes:
    """Return the file of that name as it was attached before the seal. Raises BadInput (no_attachment, too_large)."""
    first = reader.get_historical_resolver(0)
    try:
        names = _resolved(first, _resolved(first, first.root.raw_get("/Names")).raw_get("/EmbeddedFiles"))
        listed = _resolved(first, names.raw_get("/Names"))
        found = [
            listed.raw_get(place + 1)
            for place in range(0, len(listed) - 1, 2)
            if str(_resolved(first, listed.raw_get(place))) == name
        ]
        if len(found) != 1:
            raise KeyError(name)
        streams = _resolved(first, _resolved(first, found[0]).raw_get("/EF"))
        stream = _resolved(first, streams.raw_get("/F"))
        if not isinstance(stream, generic.StreamObject):
            raise KeyError(name)
        data = bytes(stream.data)
    except (KeyError, IndexError, AttributeError, TypeError, ValueError, PdfError) as error:
        raise BadInput(
            f"the PDF has no attachment {name}",
            "It is no certificate of this kind, or was made anew by another program: ask for the original file.",
            code="no_attachment",
        ) from error
    if len(data) > most:
        raise BadInput(f"the attachment {name} has more than {most} bytes", "Ask for the original.", code="too_large")
    return data


def _information(resolver: HistoricalResolver) -> dict[str, str]:
    reference: Any = resolver.trailer_view.get_value_as_reference("/Info", optional=True)
    if reference is None:
        return {}
    found: Any = resolver(reference)
    return {str(key): str(value) for key, value in found.items() if key not in _INFO_CHANGEABLE}


def _xmp(resolver: HistoricalResolver) -> tuple[tuple[str, str], ...]:
    """Every element and attribute of the XMP packet with its value, in document order, changeable ones left out."""
    stream = _resolved(resolver, resolver.root.raw_get("/Metadata"))
    data = bytes(stream.data)
    if len(data) > MAX_XMP_BYTES:
        raise Mismatch(f"metadata of {len(data)} bytes", "Ask for the original file.", code="metadata_changed")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    return tuple(_values(etree.fromstring(data, parser)))


def _values(element: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(element.tag, str):
        yield ("", str(element.text))
        return
    name = etree.QName(element)
    if name.localname in _CHANGEABLE:
        return
    yield (name.text, (element.text or "").strip())
    for key, value in sorted(element.attrib.items()):
        if etree.QName(key).localname not in _CHANGEABLE:
            yield (f"{name.text}@{key}", str(value))
    for each in element:
        yield from _values(each)


def _resolved(resolver: HistoricalResolver, found: Any) -> Any:
    return resolver(found.reference) if isinstance(found, generic.IndirectObject) else found


def _changed(number: int, what: str) -> NoReturn:
    raise Mismatch(
        f"{what} was changed by the revision {number} that follows the seal",
        "The file was altered after it was sealed: ask for the original.",
        code="metadata_changed",
    )
