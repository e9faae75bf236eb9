"""Folders: what is taken of them, what is refused, and that their structure comes back when they are opened."""

import os
from pathlib import Path

import pytest

from app.client.deposit import Depositor
from app.client.evidence import gather
from app.client.opening import Output
from app.errors import BadInput
from app.statements.kinds import MAX_ITEMS
from tests.app.client.court import court
from tests.app.client.test_release import opened, released
from tests.app.verify.proofs import panelled


def folder_in(path: Path) -> Path:
    """`case 7` with files at three depths, an empty one, and an empty folder."""
    top = path / "case 7"
    for name in ("z.txt", "mails/2024/ä.eml", "mails/2024/b.eml", "mails/a.eml", "mails.old/a.eml", "empty.bin"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"" if name == "empty.bin" else name.encode())
    (top / "nothing").mkdir()
    return top


NAMES = (
    "case 7/empty.bin",
    "case 7/mails/2024/b.eml",
    "case 7/mails/2024/ä.eml",
    "case 7/mails/a.eml",
    "case 7/mails.old/a.eml",
    "case 7/z.txt",
)


def test_a_folder_gives_its_files_by_their_paths_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top, told = folder_in(tmp_path), list[tuple[Path, str]]()
    own = tmp_path / "home"
    found = gather([top], own=own, left_out=lambda path, why: told.append((path, why)))
    assert tuple(each.name for each in found) == NAMES
    assert [each.path.read_bytes() for each in found[1:]] == [
        (each.name or "").removeprefix("case 7/").encode() for each in found[1:]
    ]
    assert told == [(top / "nothing", "an empty folder")]
    # However the folder is spelled, its files are called the same.
    monkeypatch.chdir(top / "mails")
    assert [each.name for each in gather([Path("..")], own=own)] == list(NAMES)
    monkeypatch.chdir(top)
    assert [each.name for each in gather([Path(".")], own=own)] == list(NAMES)
    # A file that is named for itself has no folder.
    (single,) = gather([top / "z.txt"], own=own)
    assert (single.path, single.name) == (top / "z.txt", None)


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    top, own = folder_in(tmp_path), tmp_path / "home"
    (tmp_path / "secret").write_bytes(b"not named")
    (top / "mails" / "link").symlink_to(tmp_path / "secret")
    (top / "up").symlink_to("..")
    os.mkfifo(top / "pipe")
    with pytest.raises(BadInput, match="is a symbolic link") as caught:
        gather([top], own=own)
    assert caught.value.code == "not_a_file"
    told: list[str] = []
    found = gather([top], own=own, leave_out_links=True, left_out=lambda path, why: told.append(f"{path.name}: {why}"))
    assert tuple(each.name for each in found) == NAMES
    assert told == [
        "link: a symbolic link",
        "nothing: an empty folder",
        "pipe: no file (a socket, pipe or device)",
        "up: a symbolic link",
    ]


def test_what_cannot_be_a_deposit_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    own = tmp_path / "case 7" / "home"
    top = folder_in(tmp_path)
    own.mkdir()
    with pytest.raises(BadInput) as caught:
        gather([top], own=own)
    assert caught.value.code == "own_folder"
    with pytest.raises(BadInput) as caught:
        gather([top / "nothing"], own=tmp_path / "home")
    assert caught.value.code == "nothing_there"
    deep = tmp_path / "deep"
    here = deep
    for _ in range(8):
        here = here / ("d" * 200)
    here.mkdir(parents=True)
    (here / "x").touch()
    with pytest.raises(BadInput) as caught:
        gather([deep], own=tmp_path / "home")
    assert caught.value.code == "name_too_long"
    many = tmp_path / "many"
    many.mkdir()
    for number in range(MAX_ITEMS + 1):
        (many / str(number)).touch()
    with pytest.raises(BadInput) as caught:
        gather([many], own=tmp_path / "home")
    assert caught.value.code == "too_many_items"
    (many / "0").unlink()
    assert len(gather([many], own=tmp_path / "home")) == MAX_ITEMS


async def test_a_folder_is_deposited_with_its_structure(tmp_path: Path) -> None:
    world, _, case_id = panelled()
    top = folder_in(tmp_path)
    async with court(world, tmp_path / "people") as place, place.client("lawyer1") as client:
        accepted = await Depositor(client).deposit(case_id, gather([top], own=client.home.path))
        assert tuple(each.name for each in accepted.inventory.items) == NAMES
        assert [each.type for each in accepted.inventory.items][1:4] == ["message/rfc822"] * 3


async def test_the_structure_comes_back_when_it_is_opened(tmp_path: Path) -> None:
    files = [(name, name.encode()) for name in NAMES]
    async with released(tmp_path, *files) as (bench, asked):
        out = tmp_path / "out"
        found = await opened(bench, asked, Output(folder=out))
        assert [each.verdict for each in found.items] == ["equal"] * len(NAMES)
        assert [each.path for each in found.items] == [out / name for name in NAMES]
        assert [each.path.read_bytes() for each in found.items if each.path] == [name.encode() for name in NAMES]
        assert all(each.stat().st_mode & 0o077 == 0 for each in out.rglob("*"))


async def test_hostile_paths_stay_in_the_folder(tmp_path: Path) -> None:
    names = ("../../a", "/etc/passwd", "x/../../b", ".sealed/item-001.age", "C:\\w\\c", "D/e", "d/e", "d", "nul/aux")
    async with released(tmp_path, *((name, name.encode()) for name in names)) as (bench, asked):
        out = tmp_path / "deep" / "out"
        found = await opened(bench, asked, Output(folder=out))
        assert [each.verdict for each in found.items] == ["equal"] * len(names)
        there = {each for each in out.rglob("*") if each.is_file() and ".sealed" not in each.relative_to(out).parts}
        assert {each.path for each in found.items} == there
        assert sorted(each.read_bytes() for each in there) == sorted(name.encode() for name in names)
        assert {
            each.name for each in tmp_path.rglob("*") if each.name in ("a", "b", "passwd") and out not in each.parents
        } == set()


async def test_no_link_in_the_output_folder_leads_out_of_it(tmp_path: Path) -> None:
    async with released(tmp_path, ("case/a.txt", b"1"), ("case/b/c.txt", b"2")) as (bench, asked):
        outside = tmp_path / "outside"
        outside.mkdir()
        for stands in ("case", "case/b"):
            out = tmp_path / stands.replace("/", "-")
            (out / stands).parent.mkdir(parents=True)
            (out / stands).symlink_to(outside)
            with pytest.raises(BadInput) as caught:
                await opened(bench, asked, Output(folder=out))
            assert caught.value.code == "output_exists"
        assert list(outside.iterdir()) == []
        assert bench.service.claims_heard("release.opening") == []
