"""Deposits against the real service: end to end, interrupted at every step, and with sources that change."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.canonical import parse_json
from app.client.activity import FINISHING, PUBLISHING, SYNCING, UPLOADING, Activity
from app.client.deposit import Depositor, Evidence
from app.client.kept import kept
from app.client.panel import CertifiedPanel, follow, panels_of
from app.client.proof import make_proof
from app.client.readers import case_members
from app.client.session import Client
from app.errors import AppError, BadInput, Refused, Unreachable
from app.panels.capsule import check_public, label
from app.rules.aggregates import Deposited
from app.sealing.inventory import check_inventory, parse_inventory
from app.sealing.manifest import parse_manifest
from app.sealing.segments import item_length
from app.sealing.sources import SourceChanged
from app.sealing.unseal import unseal_to_bytes
from app.sealing.x25519 import Identity
from app.service.quota import Limits
from app.statements.kinds import MAX_ITEMS, Deposit
from app.statements.prooffile import choose
from app.verify.proof import check_proof, hash_file
from app.verify.verdict import Outcome
from tests.app.client.court import Court, court
from tests.app.rules.world import PANEL_ID, fresh
from tests.app.verify.proofs import panelled

MARK = b"EVIDENCE-MARK"


def evidence(folder: Path, *, big: bool = False) -> list[Evidence]:
    """Empty, small, and middling or two segments long."""
    size = 34_000_000 if big else 70_000
    contents = {"empty.txt": b"", "Vertrag §1.txt": MARK + b" the contract", "big.bin": os.urandom(size)}
    found = []
    for name, data in contents.items():
        (folder / name).write_bytes(data)
        found.append(Evidence(path=folder / name))
    return found


async def test_a_deposit_end_to_end(tmp_path: Path) -> None:
    world, ceremony, case_id = panelled()
    files = evidence(tmp_path)
    seen: list[Activity] = []
    shown: list[int] = []
    async with court(world, tmp_path / "people") as place, place.client("lawyer1") as client:
        accepted = await Depositor(client).deposit(
            case_id,
            files,
            description="found in the office",
            words="for the court",
            approve=lambda panels: shown.extend(each.k for each in panels),
            progress=seen.append,
        )
        total = sum(item_length(each.path.stat().st_size) for each in files)
        assert [each.doing for each in seen if each.doing != UPLOADING] == [SYNCING, FINISHING, PUBLISHING]
        sent = [each for each in seen if each.doing == UPLOADING]
        assert (sent[-1].done, {each.total for each in sent}) == (total, {total})
        assert shown == [2]
        claims = accepted.receipt.statement.claims
        assert isinstance(claims, Deposit)
        (capsule,) = claims.capsules
        assert capsule.y == bytes(ceremony.closed().record.Y)
        check_public(capsule.y, label(capsule.y, claims.deposit_id, case_id, claims.manifest_hash), capsule.public)
        note = await client.read_note(claims.note or b"")
        assert note.words == "for the court"

        # Nothing that opens the deposit is left, and every disclosure is kept.
        assert list((tmp_path / "people" / "lawyer1" / "uploads").iterdir()) == []
        remembered = kept(client.vault, accepted.deposit_id)
        assert remembered.inventory == accepted.inventory
        check_inventory(
            remembered.inventory,
            accepted.manifest,
            deposit_id=accepted.deposit_id,
            case_id=case_id,
            deposit_slots={"description": claims.slots.description, "origin": claims.slots.origin},
        )

        # The proof verifies offline with the files.
        stored = await client.api.deposit(accepted.deposit_id)
        slots = choose(remembered.inventory.disclosures, ["name", "size", "type", "sha256"])
        proof = make_proof(accepted.state, accepted.deposit_id, stored.manifest, slots, place.trust)
        verdict = check_proof(proof, place.trust, [hash_file(each.path) for each in files])
        assert verdict.outcome is Outcome.VERIFIED, verdict.failed

    # What the service holds shows neither names nor content nor digests.
    held = b"".join([repr(place.records.__dict__).encode(), repr(place.blobs.__dict__).encode()])
    for secret in (MARK, b"Vertrag", hashlib.sha256(MARK + b" the contract").hexdigest().encode()):
        assert secret not in held


async def test_what_was_deposited_opens_with_the_secret_alone(tmp_path: Path) -> None:
    """The secret is taken from the plan, which a test may read before it is destroyed."""
    world, _, case_id = panelled()
    files = evidence(tmp_path, big=True)
    secrets: list[bytes] = []
    async with court(world, tmp_path / "people") as place, place.client("lawyer1") as client:
        depositor = Depositor(client)
        accepted = await depositor.deposit(
            case_id,
            files,
            planned=lambda id: secrets.append(depositor.uploads.plan(id).secret),  # type: ignore[union-attr]
        )
        stored = await client.api.deposit(accepted.deposit_id)
        manifest = parse_manifest(stored.manifest)
        contents = []
        for number, item in enumerate(manifest.items):
            parts = [await blob(place, accepted.deposit_id, number, i) for i in range(len(item.segments))]
            contents.append(
                unseal_to_bytes(
                    parts, length=item.length, segments=item.segments, identity=Identity(secrets[0]), max_bytes=1 << 26
                )
            )
        assert parse_inventory(contents[0]) == accepted.inventory
        assert contents[1:] == [each.path.read_bytes() for each in files]


async def blob(place: Court, deposit_id: bytes, item: int, segment: int) -> bytes:
    from app.service.places import blob_key

    found = bytearray()
    async for part in place.blobs.get(blob_key(deposit_id, item, segment)):
        found += part
    return bytes(found)


class Cut(Exception):
    """The process dies here."""


def dying(client: Client, call: str, nth: int = 0, *, after: bool = False) -> None:
    """Make the client die at the nth call of an API function: before it, or after it was carried out."""
    original: Callable[..., Any] = getattr(client.api, call)
    count = iter(range(10_000))

    async def die(*args: Any, **kwargs: Any) -> Any:
        if next(count) != nth:
            return await original(*args, **kwargs)
        if after:
            await original(*args, **kwargs)
        raise Cut

    setattr(client.api, call, die)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("call", "nth"),
    [
        ("begin_upload", 0),
        ("places", 1),
        ("put_segment", 0),
        ("put_segment", 2),
        ("put_segment", 4),
        ("put_manifest", 0),
        ("put_box", 0),
        ("post_statement", 0),
        ("checkpoint", 1),
    ],
)
async def test_an_interrupted_deposit_is_resumed(tmp_path: Path, call: str, nth: int, after: bool) -> None:
    world, _, case_id = panelled()
    files = evidence(tmp_path, big=nth == 4 or (nth == 2 and not after))
    ids: list[bytes] = []
    async with court(world, tmp_path / "people") as place:
        async with place.client("lawyer1") as client:
            dying(client, call, nth, after=after)
            with pytest.raises(Cut):
                await Depositor(client).deposit(case_id, files, planned=ids.append)
        async with place.client("lawyer1") as client:
            depositor = Depositor(client)
            assert depositor.uploads.ids() == tuple(ids)
            accepted = await depositor.resume(ids[0])
            assert accepted.deposit_id == ids[0]
            assert depositor.uploads.ids() == ()
            proof = make_proof(
                accepted.state,
                ids[0],
                (await client.api.deposit(ids[0])).manifest,
                choose(kept(client.vault, ids[0]).inventory.disclosures, ["sha256"]),
                place.trust,
            )
            files_now = [hash_file(each.path) for each in files]
            assert check_proof(proof, place.trust, files_now).outcome is Outcome.VERIFIED


async def test_the_judges_are_shown_again_before_a_deposit_is_resumed(tmp_path: Path) -> None:
    """Between the two visits the panel may have got other judges."""
    world, _, case_id = panelled()
    ids: list[bytes] = []
    shown: list[list[str]] = []

    def refuse(panels: Sequence[CertifiedPanel]) -> None:
        shown.append([judge.name for panel in panels for judge in panel.judges])
        raise Refused("not these", "", code="not_confirmed")

    async with court(world, tmp_path / "people") as place:
        async with place.client("lawyer1") as client:
            dying(client, "put_box")
            with pytest.raises(Cut):
                await Depositor(client).deposit(case_id, evidence(tmp_path), planned=ids.append)
        async with place.client("lawyer1") as client:
            dying(client, "put_box")
            with pytest.raises(Refused) as caught:
                await Depositor(client).resume(ids[0], approve=refuse)
        assert caught.value.code == "not_confirmed"
        assert shown == [["judge1", "judge2", "judge3"]]


async def test_segments_that_stand_there_are_not_sent_again(tmp_path: Path) -> None:
    world, _, case_id = panelled()
    ids: list[bytes] = []
    sent: list[tuple[int, int]] = []
    async with court(world, tmp_path / "people") as place:
        async with place.client("lawyer1") as client:
            dying(client, "put_manifest")
            with pytest.raises(Cut):
                await Depositor(client).deposit(case_id, evidence(tmp_path), planned=ids.append)
        async with place.client("lawyer1") as client:
            original = client.api.put_segment

            async def counted(place: Any, data: Any) -> None:
                sent.append((place.item, place.segment))
                await original(place, data)

            client.api.put_segment = counted  # type: ignore[method-assign]
            await Depositor(client).resume(ids[0])
    assert sent == []


async def test_after_a_reboot_the_same_file_may_have_another_number(tmp_path: Path) -> None:
    """File systems without inodes of their own number files anew at each mount; what counts is what is in it."""
    world, _, case_id = panelled()
    files = evidence(tmp_path)
    ids: list[bytes] = []
    async with court(world, tmp_path / "people") as place:
        async with place.client("lawyer1") as client:
            dying(client, "put_segment", 2, after=True)
            with pytest.raises(Cut):
                await Depositor(client).deposit(case_id, files, planned=ids.append)
        for each in files:
            seen, copy = each.path.stat(), each.path.with_name("copy")
            copy.write_bytes(each.path.read_bytes())
            os.utime(copy, ns=(seen.st_atime_ns, seen.st_mtime_ns))
            copy.replace(each.path)
            assert each.path.stat().st_ino != seen.st_ino
        async with place.client("lawyer1") as client:
            assert (await Depositor(client).resume(ids[0])).deposit_id == ids[0]


@pytest.mark.parametrize("change", ["content", "disguised", "length", "gone"])
async def test_a_source_that_changed_is_refused_before_a_byte_leaves(tmp_path: Path, change: str) -> None:
    world, _, case_id = panelled()
    files = evidence(tmp_path)
    ids: list[bytes] = []
    async with court(world, tmp_path / "people") as place:
        async with place.client("lawyer1") as client:
            dying(client, "put_segment", 2, after=True)
            with pytest.raises(Cut):
                await Depositor(client).deposit(case_id, files, planned=ids.append)
        before = await everything(place)
        path = files[1].path
        if change == "gone":
            path.unlink()
        elif change == "disguised":  # size and time of change are as they were; the digest tells
            seen = path.stat()
            path.write_bytes(b"X" * seen.st_size)
            os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        else:
            path.write_bytes(b"X" * len(path.read_bytes()) if change == "content" else b"longer than it was before")
        async with place.client("lawyer1") as client:
            depositor = Depositor(client)
            if change == "gone":
                with pytest.raises(BadInput):
                    await depositor.resume(ids[0])
                assert await everything(place) == before
                return
            with pytest.raises(SourceChanged, match=r"Vertrag §1\.txt changed since sealing began") as caught:
                await depositor.resume(ids[0])
            assert "Nothing was deposited" in caught.value.next_step
            assert depositor.uploads.ids() == ()
            with pytest.raises(BadInput):
                kept(client.vault, ids[0])
            assert not any(isinstance(each, Deposited) for each in (await client.sync()).view.aggregates.values())
        assert await everything(place) == before


async def everything(place: Court) -> list[str]:
    return [each.key for each in await place.blobs.list("deposits/", after="")]


@pytest.mark.parametrize("admitted", [False, True])
async def test_a_statement_that_grew_too_old_is_signed_again_unless_it_was_admitted(
    tmp_path: Path, admitted: bool
) -> None:
    world, _, case_id = panelled()
    ids: list[bytes] = []
    async with court(world, tmp_path / "people") as place:
        async with place.client("lawyer1") as client:
            dying(client, "post_statement", after=admitted)
            with pytest.raises(Cut):
                await Depositor(client).deposit(case_id, evidence(tmp_path)[:2], planned=ids.append)
        signed_at = world.now
        world.now += 7200
        async with place.client("lawyer1") as client:
            accepted = await Depositor(client).resume(ids[0])
            assert accepted.receipt.statement.envelope.iat == (signed_at if admitted else world.now)
            assert accepted.receipt.fresh is not admitted


async def test_a_service_that_is_down_leaves_a_deposit_that_can_be_resumed(tmp_path: Path) -> None:
    world, _, case_id = panelled()
    ids: list[bytes] = []
    async with court(world, tmp_path / "people") as place:
        async with place.client("lawyer1") as client:

            async def unreachable(*_args: object) -> None:
                raise Unreachable("no network", "")

            client.api.put_segment = unreachable  # type: ignore[method-assign]
            with pytest.raises(Unreachable):
                await Depositor(client).deposit(case_id, evidence(tmp_path), planned=ids.append)
        async with place.client("lawyer1") as client:
            assert (await Depositor(client).resume(ids[0])).deposit_id == ids[0]


async def test_what_cannot_be_deposited_is_refused_before_a_file_is_read(tmp_path: Path) -> None:
    world, _, case_id = panelled()
    world.open_case("empty", "lawyer1")
    absent = [Evidence(path=tmp_path / "absent")]

    async def code(name: str, case: bytes, **changes: Any) -> str:
        async with place.client(name) as client:
            with pytest.raises(AppError) as caught:
                await Depositor(client).deposit(case, absent, **changes)
            assert Depositor(client).uploads.ids() == ()
            return caught.value.code

    async with court(world, tmp_path / "people") as place:
        assert await code("lawyer1", fresh("no case")) == "unknown_case"
        assert await code("lawyer1", fresh("empty")) == "no_panel"
        assert await code("lawyer2", case_id) == "not_in_case"
        assert await code("lawyer1", case_id, panels=[fresh("other", 32)]) == "panel_not_assigned"
        assert await code("lawyer1", case_id) == "unreadable"


async def test_a_panel_is_followed_and_the_people_of_a_case_are_known(tmp_path: Path) -> None:
    world, ceremony, case_id = panelled()
    async with court(world, tmp_path / "people") as place, place.client("lawyer2") as client:
        state = await client.sync()
        panel = follow(state, PANEL_ID)
        assert (panel.k, panel.n, panel.epoch) == (2, 3, 1)
        assert panel.y == bytes(ceremony.closed().record.Y)
        assert [each.name for each in panel.judges] == list(ceremony.judges)
        assert panels_of(state, case_id) == (panel,)
        people = {each.name for each in case_members(state.view, case_id, state.taken_at)}
        assert people == {"clerk", "lawyer1", "lawyer2", *ceremony.judges}
        with pytest.raises(Refused):
            follow(state, fresh("nothing", 32))


async def test_more_files_than_an_opening_has_verdicts_are_refused_before_one_is_read(tmp_path: Path) -> None:
    world, _, case_id = panelled()
    async with court(world, tmp_path / "people") as place, place.client("lawyer1") as client:
        absent = [Evidence(path=tmp_path / "absent")] * (MAX_ITEMS + 1)
        with pytest.raises(BadInput) as caught:
            await Depositor(client).deposit(case_id, absent)
        assert caught.value.code == "too_many_items"
        assert Depositor(client).uploads.ids() == ()


async def test_all_bytes_are_announced_first_and_none_is_sent_where_the_quota_has_no_room(tmp_path: Path) -> None:
    world, _, case_id = panelled()
    files = evidence(tmp_path)
    member = world.id("lawyer1")
    async with court(world, tmp_path / "people") as place, place.client("lawyer1") as client:
        accepted = await Depositor(client).deposit(case_id, files, description="found in the office")
        size = sum(each.length for each in accepted.manifest.items)
        (usage,) = await place.records.page("usage")
        assert parse_json(usage.data, what="it", max_bytes=9999) == {
            "announced": size,
            "items": [each.length for each in accepted.manifest.items],
        }
    limits = Limits(members={member: size - 1})
    async with court(world, tmp_path / "other", limits) as place, place.client("lawyer1") as client:
        depositor = Depositor(client)
        with pytest.raises(Refused) as caught:
            await depositor.deposit(case_id, files, description="found in the office")
        assert caught.value.code == "quota_exceeded"
        assert f"use 0 bytes of the {size - 1} that you may; {size} more do not fit" in caught.value.message
        assert await place.blobs.list("") == ()
        (left,) = depositor.uploads.ids()  # it can be resumed when there is room
        depositor.discard(left)
    enough = Limits(members={member: size})
    async with court(world, tmp_path / "third", enough) as place, place.client("lawyer1") as client:
        await Depositor(client).deposit(case_id, files, description="found in the office")
