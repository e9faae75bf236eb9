"""Sealed files that another writer made: the verdicts that go with them. No private key of theirs is kept anywhere."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import pem, x509

from app.certificates.judging import judge
from app.errors import CannotTell, Mismatch

FOLDER = Path(__file__).parents[2] / "vectors" / "timestamps"
ROOT = x509.Certificate.load(pem.unarmor((FOLDER / "root.pem").read_bytes())[2])
AT = int(datetime(2026, 11, 23, 20, 0, tzinfo=UTC).timestamp())


async def judged(name: str, now: int = AT) -> str:
    found = await judge((FOLDER / name).read_bytes(), seal_roots=(ROOT,), tsa_roots=(ROOT,), now=now)
    return found.subject


async def test_a_forged_title_in_an_appended_revision_does_not_match() -> None:
    with pytest.raises(Mismatch) as caught:
        await judged("certificate-title-forged.pdf")
    assert caught.value.code in ("changed_after_seal", "metadata_changed")


async def test_a_good_file_of_another_writer_holds_at_its_time() -> None:
    assert "Muniment Test Seal" in await judged("certificate.pdf")


@pytest.mark.parametrize(("year", "code"), [(2025, "from_the_future"), (2070, "renewal_missed")])
async def test_too_early_and_too_late_it_cannot_be_told(year: int, code: str) -> None:
    with pytest.raises(CannotTell) as caught:
        await judged("certificate.pdf", int(datetime(year, 1, 1, tzinfo=UTC).timestamp()))
    assert caught.value.code == code
