"""Recipients: request, fetch, open and compare; what changes on the way is named, what was cut off goes on."""

import asyncio
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from app.client.fetch import BOX_NAME, MANIFEST_NAME, fetch, item_name
from app.client.home import Home, Vault
from app.client.judge import Judge
from app.client.judge_keys import JudgeVault
from app.client.opening import Opened, Output, chosen_contributions, open_request
from app.client.release import AskedVault, order, own_request, progress_of, request
from app.client.visit import closed_epoch, panel_of
from app.errors import BadInput, Mismatch, Refused
from app.panels.capsule import unbox
from app.panels.errors import PanelError
from app.panels.group import dec_scalar, lagrange0
from app.panels.making.ack import recover
from app.panels.making.opening import open_capsule
from app.rules.aggregates import Request
from tests.app.client.panel_service import JUDGES, PAPER, Bench, bench, with_panel
from tests.app.client.world_service import keys_of

THREE = JUDGES[:3]
FILES = (("a.txt", b"evidence"), ("b.bin", os.urandom(200_000)))


@asynccontextmanager
async def released(
    tmp_path: Path, *files: tuple[str, bytes], judges: tuple[str, ...] = THREE[:2], **wrong: Any
) -> AsyncIterator[tuple[Bench, bytes]]:
    """A panel of 2 of 3, a deposit of `files`, and a request granted by `judges`."""
    async with with_panel(tmp_path) as court:
        court.deposit(*(files or FILES), **wrong)
        yield court, await court.released(*judges)


def deposit_of(court: Bench) -> bytes:
    return bytes.fromhex(next(iter(court.service.evidence)))


def kept(court: Bench) -> list[bytes]:
    return [each.sk for each in AskedVault(Vault(Home(court.homes / "lawyer2"), keys_of("lawyer2"))).all()]


async def opened(court: Bench, asked: bytes, output: Output, **how: Any) -> Opened:
    async with court.client("lawyer2") as client:
        return await open_request(client, asked, output, **how)


def named(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


@pytest.mark.foreign("age")
async def test_three_of_five_grant_one_refuses_and_the_recipient_opens_what_was_deposited(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        await court.ceremony()
        court.assign()
        court.deposit(*FILES)
        asked = await court.released("judge1", "judge3")
        async with court.client("judge2") as client:
            await Judge(client).refuse(asked, "Not this one.")
        async with court.client("lawyer2") as lawyer:
            state = await lawyer.sync()
            assert own_request(state, deposit_of(court)) == asked
            found = progress_of(state.view, asked)
            assert (found.granted, found.refused, found.silent) == (
                ("judge1", "judge3"),
                ("judge2",),
                ("judge4", "judge5"),
            )
            # Two of five cannot open: the service serves nothing, and k − 1 contributions do not add up.
            with pytest.raises(Refused) as caught:
                await fetch(lawyer, deposit_of(court), tmp_path / "early")
            assert caught.value.code == "not_released"
            assert not (tmp_path / "early").exists()
        async with court.client("judge5") as client:
            await Judge(client).grant(asked, PAPER)
        found_out = await opened(court, asked, Output(folder=tmp_path / "out", identity=tmp_path / "key.txt"))
        assert [each.verdict for each in found_out.items] == ["equal", "equal"]
        assert found_out.description == "what it is"
        assert found_out.inventory_fault is None
        assert found_out.receipt is not None
        assert named(tmp_path / "out") == dict(FILES)
        assert (tmp_path / "key.txt").stat().st_mode & 0o077 == 0
        assert found_out.key_destroyed
        assert kept(court) == []
        (opening,) = court.service.claims_heard("release.opening")
        assert (opening.outcome, opening.items) == ("opened", ("equal", "equal"))
        sealed = tmp_path / "out" / ".sealed"
        for index, (_, content) in enumerate(FILES, 1):
            told = await asyncio.to_thread(
                subprocess.run,
                ["age", "-d", "-i", tmp_path / "key.txt", sealed / item_name(index)],
                capture_output=True,
                check=True,
            )
            assert told.stdout == content
        with pytest.raises(Refused) as caught:
            await opened(court, asked, Output(folder=tmp_path / "again"))
        assert caught.value.code == "key_lost"


async def test_too_few_contributions_do_not_open_even_with_the_box_at_hand(tmp_path: Path) -> None:
    async with released(tmp_path, judges=THREE[:1]) as (court, asked):
        found = court.world.view.find(Request, asked.hex())
        assert found is not None
        box = court.service.evidence[deposit_of(court).hex()].box
        with pytest.raises(PanelError) as caught:
            open_capsule(found.state.release, chosen_contributions(found), sk=kept(court)[0], box=box)
        assert caught.value.code == "below_threshold"


async def test_a_sealed_file_that_was_changed_on_disk_is_named_by_fetch_and_open(tmp_path: Path) -> None:
    async with released(tmp_path) as (court, asked):
        folder = tmp_path / "sealed"
        async with court.client("lawyer2") as client:
            fetched = await fetch(client, deposit_of(court), folder)
            changed = fetched.files[2]
            good = changed.read_bytes()
            changed.write_bytes(bytes([*good[:-1], good[-1] ^ 1]))
            with pytest.raises(Mismatch, match="segment 0 of item 2"):
                await fetch(client, deposit_of(court), folder)
            with pytest.raises(Mismatch, match="segment 0 of item 2"):
                await open_request(client, asked, Output(folder=tmp_path / "out", sealed=folder))
        assert not (tmp_path / "out").exists()
        assert all(each.exists() for each in fetched.files)
        assert court.service.claims_heard("release.opening") == []
        assert len(kept(court)) == 1


async def test_the_services_whole_state_and_two_judges_folders_do_not_open(tmp_path: Path) -> None:
    """Everything that the service has and everything that two of five judges keep: their shares lead to another key."""
    async with bench(tmp_path) as court:
        await court.ceremony()
        court.assign()
        evidence = court.deposit(*FILES)
        asked = await court.released("judge1", "judge2")
        view = court.world.view
        found = view.find(Request, asked.hex())
        assert found is not None
        release, panel = found.state.release, panel_of(view, court.panel_id)
        closed, epoch = closed_epoch(view, panel)
        shares = {}
        for index, judge in enumerate(JUDGES, 1):
            (keys,) = JudgeVault(Vault(Home(court.homes / judge), keys_of(judge))).hosts()
            shares[index] = dec_scalar(recover(closed, epoch.certificate, judge=index, he=keys.he))

        def tried(*indices: int) -> bytes | None:
            parts = [lagrange0(indices, index) * shares[index] * release.public.U for index in indices]
            return unbox(release.public, sum(parts[1:], parts[0]), evidence.box)

        assert tried(1, 2, 3) is not None  # three do, off the ledger too
        assert all(tried(i, j) is None for i, j in combinations(range(1, 6), 2))
        contributions = [encoded for _, encoded in sorted(found.state.contributions)]
        with pytest.raises(PanelError) as caught:
            open_capsule(release, contributions, sk=kept(court)[0], box=evidence.box)
        assert caught.value.code == "below_threshold"


async def test_another_manifest_or_box_is_named(tmp_path: Path) -> None:
    async with released(tmp_path) as (court, _):
        evidence = court.service.evidence[deposit_of(court).hex()]
        manifest, box = evidence.manifest, evidence.box
        async with court.client("lawyer2") as client:
            evidence.box = bytes(48)
            with pytest.raises(PanelError) as caught:
                await fetch(client, deposit_of(court), tmp_path / "new")
            assert caught.value.code == "box_mismatch"
            evidence.box, evidence.manifest = box, manifest.replace("0", "1", 1)
            with pytest.raises(Mismatch) as altered:
                await fetch(client, deposit_of(court), tmp_path / "new")
            assert altered.value.code == "altered_manifest"
        assert not (tmp_path / "new").exists()


async def test_a_fetch_goes_on_where_it_was_cut_off_and_never_overwrites_other_bytes(tmp_path: Path) -> None:
    big = os.urandom(1 << 20) * 34  # two segments
    async with released(tmp_path, ("big.bin", big)) as (court, _):
        stored = court.service.evidence[deposit_of(court).hex()].segments
        folder = tmp_path / "sealed"
        async with court.client("lawyer2") as client:
            second = stored.pop((1, 1))
            court.service.lies[f"/v1/deposits/{deposit_of(court).hex()}/segments/1/1"] = 403
            with pytest.raises(Refused):
                await fetch(client, deposit_of(court), folder)
            part = folder / "item-001.age.part"
            with part.open("ab") as file:
                file.write(b"half a segm")  # what a crash left
            stored[1, 1] = second
            court.service.lies.clear()
            court.service.calls.clear()
            await fetch(client, deposit_of(court), folder)
            asked_for = [each for each in court.service.calls if "segments" in each]
            assert f"GET /v1/deposits/{deposit_of(court).hex()}/segments/1/1" in asked_for
            assert not part.exists()
            assert (folder / "item-001.age").read_bytes() == stored[1, 0] + second
            # Again: everything is there, and is compared, not loaded.
            court.service.calls.clear()
            await fetch(client, deposit_of(court), folder)
            assert [each for each in court.service.calls if "segments" in each] == []
            for name in (item_name(1), MANIFEST_NAME, BOX_NAME):
                good = (folder / name).read_bytes()
                (folder / name).write_bytes(b"mine")
                with pytest.raises(BadInput) as caught:
                    await fetch(client, deposit_of(court), folder)
                assert caught.value.code == "output_exists"
                assert (folder / name).read_bytes() == b"mine"
                (folder / name).write_bytes(good)


async def test_a_false_declaration_is_told_apart_from_a_missing_one(tmp_path: Path) -> None:
    lie = {2: hashlib.sha256(b"something else").digest()}
    async with released(tmp_path, *FILES, declare=lie, swap_slots=True) as (court, asked):
        found = await opened(court, asked, Output(folder=tmp_path / "out"))
        assert [each.verdict for each in found.items] == ["undeclared", "not_equal"]
        assert [each.name for each in found.items] == [None, "b.bin"]
        assert named(tmp_path / "out") == {"item-001.bin": FILES[0][1], "b.bin": FILES[1][1]}
        assert court.service.claims_heard("release.opening")[0].items == ("undeclared", "not_equal")


async def test_a_key_that_opens_no_item_is_published_as_undeclared(tmp_path: Path) -> None:
    async with released(tmp_path, *FILES, wrong_key=True) as (court, asked):
        found = await opened(court, asked, Output(folder=tmp_path / "out"))
        assert found.inventory_fault is not None
        assert [(each.verdict, each.path) for each in found.items] == [("undeclared", None)] * 2
        assert all(each.fault is not None and each.fault.code == "no_matching_key" for each in found.items)
        assert named(tmp_path / "out") == {}


async def test_a_capsule_that_opens_for_nobody_is_published_as_malformed(tmp_path: Path) -> None:
    async with released(tmp_path, *FILES, wrong_box=True) as (court, asked):
        found = await opened(court, asked, Output(folder=tmp_path / "out"))
        assert (found.outcome, found.items) == ("malformed", ())
        (opening,) = court.service.claims_heard("release.opening")
        assert (opening.outcome, opening.items) == ("malformed", ())


async def test_names_from_the_depositors_machine_stay_in_the_folder(tmp_path: Path) -> None:
    files = (("../../outside.txt", b"1"), ("/etc/passwd", b"2"), (".sealed", b"3"), ("a\u202etxt.exe", b"4"))
    async with released(tmp_path, *files) as (court, asked):
        out = tmp_path / "out"
        found = await opened(court, asked, Output(folder=out))
        assert [each.verdict for each in found.items] == ["equal"] * 4
        assert [each.name for each in found.items] == [name for name, _ in files]
        paths = [each.path for each in found.items]
        assert paths == [out / "_" / "_" / "outside.txt", out / "etc" / "passwd", out / "sealed", out / "a_txt.exe"]
        assert [each.read_bytes() for each in paths if each is not None] == [b"1", b"2", b"3", b"4"]
        assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize("arrives", [False, True])
async def test_a_request_cut_off_is_sent_again_with_the_same_key(tmp_path: Path, arrives: bool) -> None:
    async with with_panel(tmp_path) as court:
        court.deposit(*FILES)
        async with court.client("judge1") as presiding:
            ordered = await order(
                presiding,
                case_id=court.case_id,
                deposits=[deposit_of(court)],
                recipients=[court.world.id("lawyer2")],
                paper=PAPER,
            )
        (court.service.unanswered if arrives else court.service.lost).add("release.request")
        for code in ("lost", "request_open" if arrives else "lost"):
            async with court.client("lawyer2") as lawyer:
                with pytest.raises(Refused) as caught:
                    await request(lawyer, order=ordered.statement.digest, deposit_id=deposit_of(court))
            assert caught.value.code == code
        court.service.lost.clear()
        if not arrives:
            async with court.client("lawyer2") as lawyer:
                await request(lawyer, order=ordered.statement.digest, deposit_id=deposit_of(court))
        sent = {each.request for each in court.service.claims_heard("release.request")}
        assert len(sent) == 1
        assert len(kept(court)) == 1
        async with court.client("lawyer1") as other:
            with pytest.raises(Refused) as caught:
                await request(other, order=ordered.statement.digest, deposit_id=deposit_of(court))
            assert caught.value.code == "not_a_recipient"


@pytest.mark.parametrize("arrives", [False, True])
async def test_the_key_stays_until_the_opening_is_on_the_ledger(tmp_path: Path, arrives: bool) -> None:
    async with released(tmp_path) as (court, asked):
        (court.service.unanswered if arrives else court.service.lost).add("release.opening")
        out = Output(folder=tmp_path / "out")
        found = await opened(court, asked, out)
        assert found.posting_fault is not None
        assert not found.key_destroyed
        assert len(kept(court)) == 1
        assert [each.verdict for each in found.items] == ["equal", "equal"]
        court.service.lost.clear()
        court.service.unanswered.clear()
        # Again into the same folder: what stands there is compared.
        found = await opened(court, asked, out)
        assert found.posting_fault is None
        assert (found.receipt is None) == arrives
        assert found.key_destroyed
        assert kept(court) == []
        assert len({each.items for each in court.service.claims_heard("release.opening")}) == 1


async def test_an_opening_that_is_not_published_keeps_the_key_and_another_file_is_not_overwritten(
    tmp_path: Path,
) -> None:
    async with released(tmp_path) as (court, asked):
        out = tmp_path / "out"
        found = await opened(court, asked, Output(folder=out), publish=False)
        assert (found.receipt, found.posting_fault, found.key_destroyed) == (None, None, False)
        (out / "a.txt").write_bytes(b"mine")
        with pytest.raises(BadInput) as caught:
            await opened(court, asked, Output(folder=out))
        assert caught.value.code == "output_exists"
        assert (out / "a.txt").read_bytes() == b"mine"
        assert court.service.claims_heard("release.opening") == []
        assert len(kept(court)) == 1


async def test_nobody_opens_with_the_request_of_another(tmp_path: Path) -> None:
    async with released(tmp_path) as (court, asked), court.client("lawyer1") as other:
        with pytest.raises(Refused) as caught:
            await open_request(other, asked, Output(folder=tmp_path / "out"))
        assert caught.value.code == "not_a_recipient"
        with pytest.raises(Refused) as caught:
            await fetch(other, deposit_of(court), tmp_path / "sealed", request=asked)
        assert caught.value.code == "not_a_recipient"
        with pytest.raises(Refused) as caught:
            await fetch(other, deposit_of(court), tmp_path / "sealed")
        assert caught.value.code == "unknown_request"


async def test_a_place_that_cannot_be_written_is_named_and_says_nothing_of_the_evidence(tmp_path: Path) -> None:
    async with released(tmp_path) as (court, asked):
        (tmp_path / "file").write_bytes(b"")
        for output in (
            Output(folder=tmp_path / "file" / "out"),
            Output(folder=tmp_path / "file" / "out", sealed=tmp_path / "sealed"),
            Output(folder=tmp_path / "out", identity=tmp_path / "file" / "key"),
        ):
            with pytest.raises(BadInput) as caught:
                await opened(court, asked, output)
            assert caught.value.code == "unwritable"
        assert court.service.claims_heard("release.opening") == []
        assert len(kept(court)) == 1
