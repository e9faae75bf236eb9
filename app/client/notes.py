"""Sealed notes: words for people, and disclosures that they may need, in an age file for hybrid recipients.

`{"format":"muniment-note/v1","words":TEXT or null,"disclosures":[{"item","slot","disclosure"}…]}`, canonical JSON. A
note is named by the SHA-256 of its age file, never of its words, which could be guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.canonical import format_json, parse_json, take_list, take_object, take_str
from app.client.api import MAX_NOTE_BYTES
from app.errors import BadInput
from app.sealing.age import decrypt_bytes, encrypt_bytes
from app.sealing.header import Rng
from app.sealing.hybrid import PqIdentity, PqRecipient
from app.statements.disclosure import NamedDisclosure, parse_named_disclosure

FORMAT = "muniment-note/v1"
MAX_WORDS_BYTES = 32_768
MAX_DISCLOSURES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a note says."""

    words: str | None
    disclosures: tuple[NamedDisclosure, ...] = ()


def format_note(note: Note) -> bytes:
    """Return the note's canonical text."""
    disclosures = [each.to_json() for each in note.disclosures]
    return format_json({"format": FORMAT, "words": note.words, "disclosures": disclosures}).encode()


def parse_note(data: bytes) -> Note:
    """Read a note's text. Raises BadInput."""
    value = parse_json(data, what="the note", max_bytes=MAX_NOTE_BYTES, max_depth=3)
    fields = take_object(value, ("format", "words", "disclosures"), "the note")
    if fields["format"] != FORMAT:
        raise BadInput(f"the note's format is not {FORMAT}", "Ask who wrote it.", code="bad_note")
    words = fields["words"]
    return Note(
        words=None if words is None else take_str(words, "the note's words", max_bytes=MAX_WORDS_BYTES),
        disclosures=tuple(
            parse_named_disclosure(each, "a disclosure of the note")
            for each in take_list(fields["disclosures"], "the note's disclosures", max_items=MAX_DISCLOSURES)
        ),
    )


def seal_note(note: Note, recipients: Sequence[str], rng: Rng) -> bytes:
    """Return the age file for recipients `age1pq1…` (each once). Raises BadInput (too_large, bad_bech32, …)."""
    text = format_note(note)
    parse_note(text)
    file = encrypt_bytes(text, [PqRecipient.parse(each) for each in dict.fromkeys(recipients)], rng)
    if len(file) > MAX_NOTE_BYTES:
        raise BadInput(
            f"the sealed note has {len(file)} bytes for {len(recipients)} recipients; {MAX_NOTE_BYTES} are taken",
            "Write fewer words, or to fewer people.",
            code="too_large",
        )
    return file


def open_note(file: bytes, identity: PqIdentity) -> Note:
    """Open a note's age file. Raises Mismatch when it is not for this identity or altered, BadInput."""
    return parse_note(decrypt_bytes(file, [identity]))
