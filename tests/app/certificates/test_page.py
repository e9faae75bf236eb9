"""What a certificate shows: looked at with poppler, since a reader of PDF is what a person has."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from app.certificates.claims import Certificate, Lang, Office
from app.certificates.facts import Line, Row, Section, make_pages
from app.certificates.page import render, set_pages
from app.certificates.text import printable
from app.certificates.words import WORDS
from tests.app.certificates.made import NUMBER, OFFICE, certificate, deposit, pages, proof

POPPLER = pytest.mark.foreign("pdftotext")
HOSTILE = (
    "../../etc/passwd",
    "C:\\Windows\\system32",
    "#emph[x] $a^2$ \\u{202e} @ref <label> `raw` // comment",
    '#image("/etc/passwd")',
    '] } ) #panic("x")',
    "photo\u202egnp.exe",
    "🎉" * 50,
    "x" * 10_000,
    "合" * 3_000,
    "a b " * 2_500,
    "\x00\x07\x1b[31m",
    "%PDF-1.7\n%%EOF",
    "{page} {pages} $office",
)


def text_of(pdf: bytes, tmp_path: Path) -> str:
    path = tmp_path / "c.pdf"
    path.write_bytes(pdf)
    done = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=True)
    return done.stdout.decode().replace("\u200b", "")


def squeezed(text: str) -> str:
    return "".join(text.split())


def test_the_same_facts_give_the_same_bytes() -> None:
    assert render(proof(), certificate()) == pages()
    assert render(proof(), certificate(number="another")) != pages()


@POPPLER
@pytest.mark.parametrize("lang", ["en", "zh", "en+zh"])
def test_everything_that_must_be_said_is_said(lang: Lang, tmp_path: Path) -> None:
    made = certificate(lang=lang, annexes=("cn", "eu", "us"))
    text = squeezed(text_of(render(proof("name", "type", "size", "sha256"), made), tmp_path))
    shown = deposit().deposit
    for wanted in (
        NUMBER,
        shown.digest.hex(),
        OFFICE.name,
        OFFICE.responsible,
        OFFICE.contact,
        OFFICE.verify,
        "Vertrag§1.txt",
        "2027-01-15T08:00:00Z",
        "ledger.example/court",
        made.trust.hex(),
        "lawyer1",
        {"en": "2of3judges", "zh": "3名法官中2名", "en+zh": "2of3judges"}[lang],
    ):
        assert squeezed(wanted) in text, wanted
    column = 1 if lang == "zh" else 0
    for key in ("not_truth", "not_before", "not_declared", "not_revoked", "declared", "enrolled", "seal_is"):
        assert squeezed(WORDS[key][column]) in text, key
    assert "SM2" in text
    assert "902" in text
    assert "45k" in text


@POPPLER
def test_only_what_is_disclosed_appears(tmp_path: Path) -> None:
    text = squeezed(text_of(render(proof("size"), certificate(proof("size"), lang="en")), tmp_path))
    assert "Vertrag" not in text
    assert "13bytes" in text
    assert text.count("notdisclosed") >= 2 * 3


@POPPLER
@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_text_from_people_is_printed_and_never_read(hostile: str, tmp_path: Path) -> None:
    made = make_pages(proof(), certificate())
    row = Row(label="Name", values=(Line(text=printable(hostile), style="quote"),))
    pdf = set_pages(replace(made, sections=(Section(title="File 1", rows=(row,)),)), ())
    wanted = squeezed(printable(hostile))
    text = squeezed(text_of(pdf, tmp_path))
    # A long text is broken over pages by headers and footers; its start and its end must be there.
    assert wanted[:300] in text or wanted[:60] in text
    assert wanted[-20:] in text


def test_an_office_of_any_name_gets_its_seal() -> None:
    for name in ("x", "A" * 200, "法" * 60, "🎉 𠮷"):
        changed = certificate(office=Office(**{**_fields(OFFICE), "name": name}))
        assert render(proof(), changed).startswith(b"%PDF-")


def test_there_are_words_in_both_languages_with_the_same_places() -> None:
    import string

    for key, (english, chinese) in WORDS.items():
        fields = [{name for _, name, _, _ in string.Formatter().parse(each) if name} for each in (english, chinese)]
        assert fields[0] == fields[1], key
        assert english.strip(), key
        assert chinese.strip(), key


@pytest.mark.foreign("qpdf")
def test_the_file_is_tagged_whole_and_carries_both_attachments(tmp_path: Path) -> None:
    path = tmp_path / "c.pdf"
    path.write_bytes(pages())
    assert subprocess.run(["qpdf", "--check", str(path)], capture_output=True, check=False).returncode == 0
    listed = subprocess.run(["qpdf", "--list-attachments", str(path)], capture_output=True, text=True, check=True)
    assert {line.split(" ")[0] for line in listed.stdout.splitlines()} == {"proof.json", "certificate.json"}
    info = subprocess.run(["pdfinfo", str(path)], capture_output=True, text=True, check=True).stdout
    assert "Tagged:          yes" in info
    assert shutil.which("pdfinfo")
    metadata = subprocess.run(["pdfinfo", "-meta", str(path)], capture_output=True, text=True, check=True).stdout
    assert "pdfaid:part>3<" in metadata.replace('="', ">").replace('"', "<") or "<pdfaid:part>3" in metadata
    assert "pdfuaid:part" in metadata


def _fields(office: Office) -> dict[str, str]:
    return {name: getattr(office, name) for name in ("name", "responsible", "contact", "verify")}


def test_an_opening_changes_the_status_of_each_file(tmp_path: Path) -> None:
    declared = make_pages(proof(), certificate(lang="en"))
    statuses = [section.rows[-1].values[0].text for section in declared.sections if section.title.startswith("File ")]
    assert statuses == [WORDS["declared"][0]] * 3
    assert isinstance(certificate(), Certificate)
