"""Annexes: the office's own texts take the place of ours, are data, and bad ones are named."""

from pathlib import Path

import pytest

from app.certificates.annexes import KINDS, PLACES, make_annexes
from app.certificates.claims import Annex
from app.certificates.facts import read_shown
from app.errors import BadInput
from tests.app.certificates.made import NUMBER, OFFICE, proof


def made(*kinds: str, folder: Path | None = None, lang: str = "en") -> tuple[Annex, ...]:
    return make_annexes(
        kinds,
        shown=read_shown(proof()),
        number=NUMBER,
        lang=lang,  # type: ignore[arg-type]
        office=OFFICE,
        operator="the court",
        conflicts="none",
        folder=folder,
    )


def test_each_names_its_rules_and_says_what_is_not_claimed() -> None:
    cn, eu, us = made(*KINDS[::-1])
    assert [cn.kind, eu.kind, us.kind] == ["cn", "eu", "us"]
    assert "article 16" in cn.text
    assert "No SM2 or SM3" in cn.text
    assert "not a qualified electronic ledger" in eu.text
    assert OFFICE.responsible in us.text
    for each in (cn, eu, us):
        assert NUMBER in each.text
        assert "$" not in each.text


def test_both_languages_stand_under_each_other() -> None:
    (cn,) = made("cn", lang="en+zh")
    assert "SM2" in cn.text
    assert "本附录" in cn.text


def test_an_office_writes_its_own(tmp_path: Path) -> None:
    (tmp_path / "us.en.txt").write_text("Our title\n\nFor $$5: $number by $office.\n#panic(1)\n")
    (us,) = made("us", folder=tmp_path)
    assert us.title == "Our title"
    assert us.text == f"For $5: {NUMBER} by {OFFICE.name}.\n#panic(1)"
    (cn,) = made("cn", folder=tmp_path)
    assert "article 16" in cn.text


@pytest.mark.parametrize(
    "text", ["", "only a title", "title\n$unknown", "title\n$", "title\n\xff", "t\n" + "x" * 50_000]
)
def test_a_bad_text_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "us.en.txt").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=r"us\.en\.txt") as caught:
        made("us", folder=tmp_path)
    assert caught.value.code == "bad_annex"
    assert all(f"${each}" in caught.value.next_step for each in PLACES)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(BadInput, match="'fr'"):
        made("fr")
