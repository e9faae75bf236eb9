"""Public openings through the clients, and the file of one that a stranger checks alone."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.client.home import Home, Vault
from app.client.opening import Output, open_request
from app.client.publication import OpenableVault, export, forget, look, permit, publish
from app.client.release import AskedVault
from app.errors import AppError, Refused
from app.panels.errors import PanelError
from app.panels.opening import Verdict
from app.sealing.x25519 import Identity
from app.statements.publicationfile import format_publication_file, parse_publication_file
from app.verify.proof import FileDigest
from app.verify.publication import PublicationVerdict, check_publication
from app.verify.verdict import Outcome
from tests.app.client.panel_service import Bench, with_panel
from tests.app.client.world_service import keys_of

PAPER = b"The evidence may be shown in public."
FILES = (("a.txt", b"evidence"), ("b.txt", b"more of it"))


@asynccontextmanager
async def opened(tmp_path: Path, **wrong: Any) -> AsyncIterator[tuple[Bench, bytes]]:
    """A deposit released to lawyer2, opened by him, its opening on the ledger and the secret destroyed."""
    async with with_panel(tmp_path) as court:
        court.deposit(*FILES, **wrong)
        asked = await court.released("judge1", "judge3")
        async with court.client("lawyer2") as client:
            found = await open_request(client, asked, Output(folder=tmp_path / "out"))
            assert found.key_destroyed
        yield court, asked


async def permitted(court: Bench, asked: bytes) -> None:
    async with court.client("judge1") as presiding:
        await permit(presiding, asked, PAPER, "as we said in court")


async def published(court: Bench, asked: bytes) -> bytes:
    async with court.client("lawyer2") as client:
        await publish(client, asked)
        return await export(client, asked, court.trust)


def kept(court: Bench, asked: bytes) -> Any:
    return OpenableVault(Vault(Home(court.homes / "lawyer2"), keys_of("lawyer2"))).get(asked)


def as_file(data: bytes) -> FileDigest:
    return FileDigest(path="it", sha256=hashlib.sha256(data).digest())


def failed(found: PublicationVerdict) -> tuple[Outcome, str]:
    return found.outcome, next(each.code for each in found.checks if not each.passed)


async def test_what_was_deposited_is_shown_to_a_stranger_and_cannot_be_swapped(tmp_path: Path) -> None:
    async with opened(tmp_path) as (court, asked):
        secrets = Vault(Home(court.homes / "lawyer2"), keys_of("lawyer2"))
        assert list(AskedVault(secrets).all()) == []  # the recipient's secret is gone before
        async with court.client("lawyer2") as client:
            with pytest.raises(Refused) as caught:
                await publish(client, asked)
            assert caught.value.code == "not_permitted"
        assert court.service.claims_heard("release.publish") == []
        await permitted(court, asked)
        data = await published(court, asked)
        assert kept(court, asked) is None
        (claims,) = court.service.claims_heard("release.publish")
        assert len(claims.box) == 48
        found = check_publication(data, court.trust, [as_file(b"evidence"), as_file(b"more of it")])
        assert (found.outcome, found.verdict, found.judges) == (Outcome.VERIFIED, "file_key", ("judge1", "judge3"))
        assert found.files == [("it", 1, "declared"), ("it", 2, "declared")]
        assert Identity.parse(found.identity).secret
        whole = check_publication(data, court.trust, [as_file(b"evidence")], tmp_path / "out" / ".sealed")
        assert whole.files == [("it", 1, "deposited")]
        swapped = check_publication(data, court.trust, [as_file(b"another file")], tmp_path / "out" / ".sealed")
        assert failed(swapped) == (Outcome.MISMATCH, "file_differs")


async def test_what_was_deposited_counts_and_not_what_was_declared(tmp_path: Path) -> None:
    """A depositor declares a digest of another file: with the sealed items the lie shows, and whose it is."""
    lie = hashlib.sha256(b"what he said he deposited").digest()
    async with opened(tmp_path, declare={1: lie}) as (court, asked):
        await permitted(court, asked)
        data = await published(court, asked)
        sealed = tmp_path / "out" / ".sealed"
        said, held = as_file(b"what he said he deposited"), as_file(b"evidence")
        assert check_publication(data, court.trust, [held], sealed).files == [("it", 1, "deposited")]
        assert failed(check_publication(data, court.trust, [said], sealed)) == (Outcome.MISMATCH, "file_differs")
        item = check_publication(data, court.trust, [], sealed).items[0]
        assert (item.declared, item.found) == (lie, hashlib.sha256(b"evidence").digest())


async def test_a_malformed_capsule_is_shown_at_once_and_blames_its_depositor(tmp_path: Path) -> None:
    async with opened(tmp_path, wrong_box=True) as (court, asked):
        data = await published(court, asked)
        found = check_publication(data, court.trust)
        assert (found.outcome, found.verdict, found.identity) == (Outcome.VERIFIED, "malformed", "")
        assert (found.depositor, found.judges) == ("lawyer1", ("judge1", "judge3"))
        assert failed(check_publication(data, court.trust, [as_file(b"evidence")])) == (
            Outcome.MISMATCH,
            "file_differs",
        )


async def test_a_key_of_something_else_is_the_third_verdict(tmp_path: Path) -> None:
    async with opened(tmp_path, wrong_key=True) as (court, asked):
        await permitted(court, asked)
        found = check_publication(await published(court, asked), court.trust)
        assert (found.outcome, found.verdict) == (Outcome.VERIFIED, "wrong_key")


async def test_the_file_is_refused_once_anything_in_it_is_another(tmp_path: Path) -> None:
    async with opened(tmp_path) as (court, asked):
        court.deposit(*FILES, name="second")
        other = await court.released("judge1", "judge2")
        async with court.client("lawyer2") as client:
            await open_request(client, other, Output(folder=tmp_path / "other"))
        await permitted(court, asked)
        await permitted(court, other)
        data, elsewhere = await published(court, asked), await published(court, other)
        file, foreign = json.loads(data), json.loads(elsewhere)

        def changed(**fields: Any) -> tuple[Outcome, str]:
            text = json.dumps({**file, **fields}, separators=(",", ":"), ensure_ascii=False)
            return failed(check_publication(text.encode(), court.trust))

        assert check_publication(data, court.trust).outcome is Outcome.VERIFIED
        assert changed(publication=foreign["publication"]) == (Outcome.MISMATCH, "wrong_request")
        assert changed(deposit=foreign["deposit"]) == (Outcome.MISMATCH, "wrong_deposit")
        assert changed(contributions=foreign["contributions"]) == (Outcome.MISMATCH, "wrong_request")
        assert changed(contributions=file["contributions"][:1]) == (Outcome.MISMATCH, "unknown_contribution")
        assert changed(contributions=file["contributions"] * 2) == (Outcome.MISMATCH, "out_of_order")
        assert changed(request=file["deposit"]) == (Outcome.MISMATCH, "out_of_order")
        assert changed(publication=file["request"], request=file["publication"]) == (Outcome.MISMATCH, "wrong_kind")
        assert changed(founding=file["founding"][1:]) == (Outcome.MISMATCH, "replay_refused")
        assert changed(founding=file["founding"][:-1]) == (Outcome.MISMATCH, "unknown_epoch")
        assert changed(founding=file["founding"][::-1]) == (Outcome.MISMATCH, "out_of_order")
        assert changed(manifest=foreign["manifest"]) == (Outcome.MISMATCH, "manifest_mismatch")
        assert changed(inventory=foreign["inventory"]) == (Outcome.MISMATCH, "segment_mismatch")
        other_leaf = {**file["publication"], "leaf": foreign["publication"]["leaf"]}
        assert changed(publication=other_leaf) == (Outcome.MISMATCH, "leaf_mismatch")
        moved = {**file["publication"], "tlog_proof": file["request"]["tlog_proof"]}
        assert changed(publication=moved)[0] is Outcome.MISMATCH
        judge = next(each for each in file["founding"] if '"panel.ack"' in each["leaf"])
        assert changed(founding=[each for each in file["founding"] if each != judge]) == (
            Outcome.MISMATCH,
            "unknown_epoch",
        )


async def test_what_is_kept_for_a_public_opening_is_encrypted_and_can_be_destroyed(tmp_path: Path) -> None:
    async with opened(tmp_path) as (court, asked):
        made = kept(court, asked)
        for path in court.homes.rglob("*"):
            if path.is_file():
                assert made.opening not in path.read_bytes()
        async with court.client("lawyer2") as client:
            forget(client, asked)
            await permitted(court, asked)
            with pytest.raises(Refused) as caught:
                await publish(client, asked)
            assert caught.value.code == "nothing_kept"


async def test_only_the_recipient_publishes_and_only_what_is_true(tmp_path: Path) -> None:
    async with opened(tmp_path) as (court, asked):
        await permitted(court, asked)
        async with court.client("lawyer1") as depositor:
            with pytest.raises(Refused) as caught:
                await publish(depositor, asked)
            assert caught.value.code == "not_a_recipient"
        vault = OpenableVault(Vault(Home(court.homes / "lawyer2"), keys_of("lawyer2")))
        good = vault.get(asked)
        assert good is not None
        vault.put(replace(good, box=bytes(48)))
        async with court.client("lawyer2") as client:
            with pytest.raises(PanelError):
                await publish(client, asked)
        assert court.service.claims_heard("release.publish") == []
        vault.put(good)
        async with court.client("lawyer2") as client:
            assert (await look(client, asked)).verdict is Verdict.FILE_KEY
            await publish(client, asked)
            with pytest.raises(Refused) as again:
                await publish(client, asked)
            assert again.value.code == "opening_known"


async def test_a_crash_between_ledger_and_disk_leaves_nothing_that_opens(tmp_path: Path) -> None:
    """The answer is lost: the next call finds it on the ledger, and destroys what was kept."""
    async with opened(tmp_path) as (court, asked):
        await permitted(court, asked)
        court.service.unanswered.add("release.publish")
        async with court.client("lawyer2") as client:
            with pytest.raises(AppError):
                await publish(client, asked)
        assert kept(court, asked) is not None
        court.service.unanswered.clear()
        async with court.client("lawyer2") as client:
            with pytest.raises(Refused) as caught:
                await publish(client, asked)
            assert caught.value.code == "opening_known"
        assert kept(court, asked) is None


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_publication_file(data: bytes) -> None:
    with pytest.raises(AppError):
        parse_publication_file(data)
    with pytest.raises(AppError):
        parse_publication_file(b'{"format":"muniment-publication/v1"' + data)


async def test_the_file_is_canonical_and_read_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as (court, asked):
        await permitted(court, asked)
        data = await published(court, asked)
        assert format_publication_file(parse_publication_file(data)) == data
        for other in (data + b"\n", data.replace(b'","leaf"', b'", "leaf"', 1), data[:-1]):
            assert failed(check_publication(other, court.trust))[0] is Outcome.MISMATCH
