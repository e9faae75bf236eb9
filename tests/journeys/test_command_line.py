"""The commands of registrars, judges and recipients, against a real service, under the system's clock."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.cli.main import main
from app.client.api import Api
from app.client.deposit import Depositor, Evidence
from app.client.founding import found
from app.client.home import HOME_VARIABLE, PASSPHRASE_VARIABLE, Home, Keys, Settings
from app.client.registrar import approve
from app.client.session import Client
from app.service.registry import Registry, Terms
from app.statements.kinds import Authority, CaseAssign, CaseOpen, CaseParty, MemberEnrol, Role
from app.statements.statement import Signer
from app.web.application import serve
from storage.memory import MemoryBlobStore, MemoryRecordStore

ORIGIN = "ledger.example/commands"
ROLES: dict[str, Role] = {
    "Clara Clerk": "clerk",
    "Gus Greffier": "clerk",
    "Dora Depositor": "depositor",
    "Rita Recipient": "party",
    "Judge One": "judge",
    "Judge Two": "judge",
    "Judge Three": "judge",
}
JUDGES = tuple(name for name, role in ROLES.items() if role == "judge")


def now() -> int:
    return int(time.time())


@dataclass
class Town:
    """A registry, and everybody's home with a passphrase."""

    folder: Path
    url: str
    authority: bytes
    people: dict[str, tuple[Home, Keys]]
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    @asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[Client]:
        home, keys = self.people[name]
        async with Client(home, keys, home.trust(), self.url, clock=now) as client:
            yield client

    def id(self, name: str) -> str:
        return self.people[name][1].signer.kid

    async def run(self, name: str, *argv: str, code: int = 0) -> Any:
        """Run a command as a person; return the JSON that it printed."""
        self.monkeypatch.setenv(HOME_VARIABLE, str(self.people[name][0].path))
        self.monkeypatch.setenv(PASSPHRASE_VARIABLE, str(self.folder / "passphrase"))
        self.capsys.readouterr()
        given = await asyncio.to_thread(main, [*argv, "--json"])
        shown = self.capsys.readouterr()
        assert given == code, shown
        return json.loads(shown.out)

    async def says(self, name: str, *argv: str, code: int = 0) -> str:
        """The same as text, both streams."""
        self.monkeypatch.setenv(HOME_VARIABLE, str(self.people[name][0].path))
        self.monkeypatch.setenv(PASSPHRASE_VARIABLE, str(self.folder / "passphrase"))
        self.capsys.readouterr()
        given = await asyncio.to_thread(main, list(argv))
        shown = self.capsys.readouterr()
        assert given == code, shown
        return shown.out + shown.err


@asynccontextmanager
async def town(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Town]:
    (tmp_path / "passphrase").write_text("correct horse\n")
    people = {
        name: Home.create(tmp_path / name.split()[1], name=name, passphrase="correct horse", log_n=4)
        for name in ("Rolf Registrar", *ROLES)
    }
    seeds = [os.urandom(32) for _ in range(3)]
    founding = found(
        origin=ORIGIN,
        registrar=people["Rolf Registrar"][1],
        authority=Authority(keys=(Signer(seeds[0]).public,), m=1),
        log_seed=seeds[1],
        service_seed=seeds[2],
        now=now(),
        rng=os.urandom,
    )
    terms = Terms(
        origin=ORIGIN,
        genesis=founding.genesis.digest,
        log_seed=seeds[1],
        service_seed=seeds[2],
        checkpoint_seconds=0.02,
        publication_seconds=0.005,
        batch_seconds=0,
    )
    registry = Registry(terms, MemoryRecordStore(), MemoryBlobStore(clock=now), now)
    runner, host, port = await serve(registry, "127.0.0.1", 0)
    try:
        url = f"http://{host}:{port}"
        for home, _ in people.values():
            home.set_trust(founding.trust.encode())
            home.set_settings(Settings(service=url))
        async with Api(url, origin=ORIGIN, signer=None, clock=now) as api:
            await api.post_statement(founding.genesis.text)
        place = Town(tmp_path, url, seeds[0], people, monkeypatch, capsys)
        async with place.client("Rolf Registrar") as registrar:
            for name, role in ROLES.items():
                card = people[name][0].card()
                receipt = await registrar.post(MemberEnrol(key=card.key, notes=card.notes, role=role, name=name))
                if role in ("clerk", "judge"):
                    await approve(registrar, receipt.statement.digest, seeds[0])
        yield place
    finally:
        await runner.cleanup()


async def holds(place: Town, case_id: str, deposit: str, words: str) -> None:
    """Two holds, one lifted after the other, and a longer term."""
    first = (await place.run("Clara Clerk", "hold", "place", deposit, "--reason", words))["hold"]
    second = (await place.run("Judge Two", "hold", "place", deposit))["hold"]
    listed = await place.run("Judge One", "hold", "list", deposit)
    told = [(each["hold"], each["by"], each["reason"]) for each in listed["holds"]]
    assert told == [(first, "Clara Clerk", "Bitte bis Montag."), (second, "Judge Two", None)]
    assert "2 holds stand" in await place.says("Dora Depositor", "hold", "list", deposit)
    assert "wrong_signer" in await place.says("Dora Depositor", "hold", "place", deposit, code=1)
    assert "several_holds" in await place.says("Judge One", "hold", "lift", deposit, code=1)
    assert "unknown_hold" in await place.says("Judge One", "hold", "lift", deposit, "--hold", "00" * 32, code=1)
    lifted = await place.run("Judge One", "hold", "lift", deposit, "--hold", second)
    assert lifted["remaining"] == [first]
    assert "legal holds: 1" in await place.says("Clara Clerk", "case", "show", case_id)
    assert (await place.run("Clara Clerk", "hold", "lift", deposit, "--reason", words))["remaining"] == []
    assert "unknown_hold" in await place.says("Clara Clerk", "hold", "lift", deposit, code=1)
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 40_000 * 86_400))
    assert "too_far" in await place.says("Clara Clerk", "retention", "extend", deposit, "--until", day, code=1)
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 20_000 * 86_400))
    assert f"is kept through {day}" in await place.says("Clara Clerk", "retention", "extend", deposit, "--until", day)
    said = await place.says("Judge Two", "retention", "extend", deposit, "--until", day, code=1)
    assert "not_later" in said
    assert " UTC: it was extended to " in said
    assert "its term was extended to" in await place.says("Dora Depositor", "hold", "list", deposit)


async def drafted(place: Town, case: str, request: str, paper: str) -> None:
    """Judge Three lets his clerk prepare, looks at the draft, and grants by his own word."""
    draft = str(place.folder / "grant.draft")
    prepared = ("decide", request, "--draft", draft, "--for", "Judge Three")
    assert "unknown_request" in await place.says("Gus Greffier", *prepared, "--grant", "--order", paper, code=1)
    gus = place.id("Gus Greffier")
    told = await place.says("Judge Three", "case", "delegate", case, gus, "--scope", "prepare", "--days", "30")
    assert "Gus Greffier" in told or gus in told
    assert "wrong_scope" in await place.says(
        "Dora Depositor", "case", "delegate", case, gus, "--scope", "prepare", code=1
    )
    made = await place.run("Gus Greffier", *prepared, "--grant", "--order", paper)
    assert (made["decision"], made["draft"]["judge"]) == (None, "Judge Three")
    assert "not_on_panel" in await place.says("Gus Greffier", "decide", request, "--grant", "--order", paper, code=1)
    seen = await place.says("Judge Three", "decide", "--from", draft)
    assert f"draft of Gus Greffier ({gus})" in seen
    assert "nothing was signed" in seen
    assert "draft_differs" in await place.says("Judge Three", "decide", "--from", draft, "--refuse", code=1)
    assert "other_request" in await place.says("Judge Three", "decide", "00" * 32, "--from", draft, code=1)
    assert "no_matching_key" in await place.says("Judge Two", "decide", "--from", draft, code=1)
    await place.says("Judge Three", "decide", "--from", draft, "--grant", code=2)
    granted = await place.run("Judge Three", "decide", "--from", draft, "--grant", "--order", paper)
    assert (granted["decision"], granted["draft"]["by"]) == ("grant", "Gus Greffier")
    assert (await place.run("Judge Three", "case", "undelegate", case, gus))["delegate"] == gus
    assert "unknown_delegation" in await place.says("Judge Three", "case", "undelegate", case, gus, code=1)


async def release_rules(place: Town, panel: str) -> None:
    """A case with rules of its own: two recipients, two deposits, an objection, a withdrawal, one visit for both, and
    the record, checked by somebody who has only the trust file."""
    folder = place.folder
    (folder / "why.txt").write_text("The letters are privileged.\n")
    why, paper = str(folder / "why.txt"), str(folder / "order.pdf")
    assert "bad_rules" in await place.says("Clara Clerk", "case", "open", "--notice", "90d", code=1)
    opened = await place.run("Clara Clerk", "case", "open", "--request-lasts", "30d", "--contribute", "at-quorum")
    case = opened["case"]
    assert opened["rules"]["contribute"] == "at-quorum"
    assert opened["rules"]["request_seconds"] == 30 * 86_400
    for party in ("Dora Depositor", "Rita Recipient"):
        await place.run("Clara Clerk", "case", "party", case, place.id(party))
    await place.run("Clara Clerk", "case", "assign", case, "--panel", panel, "--presiding", "Judge One")
    deposits = []
    async with place.client("Dora Depositor") as client:
        for name in ("one.txt", "two.txt"):
            (folder / name).write_bytes(name.encode())
            made = await Depositor(client).deposit(bytes.fromhex(case), [Evidence(path=folder / name)])
            deposits.append(made.deposit_id.hex())
    order = (
        await place.run(
            *("Judge One", "order", case, "--deposit", deposits[0], "--deposit", deposits[1]),
            *("--to", "Rita Recipient", "--to", "Dora Depositor", "--paper", paper),
        )
    )["order"]
    (first,) = [(await place.run("Rita Recipient", "request", order, deposits[0]))["request"]]
    assert "request_open" in await place.says("Dora Depositor", "request", order, deposits[0], code=1)
    assert "muniment object" in await place.says("Dora Depositor", "inbox")
    await place.run("Dora Depositor", "object", first, "--reason", why)
    assert "you objected" in await place.says("Dora Depositor", "inbox")
    assert "own_request" in await place.says("Rita Recipient", "object", first, code=1)
    assert "The letters are privileged." in await place.says("Judge Two", "decide", first)
    await place.run("Rita Recipient", "withdraw", first)
    assert "request_ended" in await place.says("Rita Recipient", "withdraw", first, code=1)
    both = await place.run("Rita Recipient", "request", order, *deposits)
    asked = [each["request"] for each in both["requests"]]
    again = await place.run("Rita Recipient", "request", order, *deposits, code=1)
    assert [each["fault"]["code"] for each in again["requests"]] == ["request_open", "request_open"]
    shown = await place.says("Judge Two", "decide", *asked)
    assert f"another request for this deposit: {first}, withdrawn" in shown
    granted = await place.run("Judge Two", "decide", *asked, "--grant", "--order", paper)
    assert [each["contribution_index"] for each in granted["requests"]] == [None, None]
    assert "waits until 2 judges have granted (1 so far)" in await place.says("Judge Two", "act")
    waits = await place.says("Judge Three", "inbox")
    assert "other requests for this deposit: 1; contributions of 0 judges exist, and 2 open it" in waits
    await drafted(place, case, asked[0], paper)
    await place.run("Judge Three", "decide", asked[1], "--grant", "--order", paper)
    said = [each["said"] for each in (await place.run("Judge Two", "act"))["done"]]
    assert said == ["release.contribution", "release.contribution"]
    for number, request in enumerate(asked):
        await place.run("Rita Recipient", "open", request, "-o", str(folder / f"opened {number}"))
    record, trust = str(folder / "release.record"), str(folder / "court.trust")
    made = await place.run("Judge One", "record", asked[0], "-o", record)
    assert (made["outcome"], made["status"], made["holds_key"]) == ("verified", "opened", False)
    (folder / "court.trust").write_text(place.people["Judge One"][0].trust().text)
    told = await place.says("Dora Depositor", "verify", record, "--trust", trust)
    assert told.startswith("VERIFIED")
    assert "Judge Two contributes" in told
    assert "bad_option" in await place.says("Dora Depositor", "verify", record, paper, "--trust", trust, code=2)
    altered = (folder / "release.record").read_bytes().replace(b'"start":', b'"start":1')
    (folder / "altered.record").write_bytes(altered)
    wrong = await place.says("Dora Depositor", "verify", str(folder / "altered.record"), "--trust", trust, code=1)
    assert wrong.startswith("DOES NOT MATCH")


async def test_from_proposal_to_opened_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with town(tmp_path, monkeypatch, capsys) as place:
        # A registrar's panel.
        panel = (await place.run("Rolf Registrar", "panel", "propose", *JUDGES, "-k", "2"))["panel"]
        assert "card_missing" in await place.says("Rolf Registrar", "panel", "roster", panel, code=1)
        inbox = await place.run("Judge One", "inbox")
        assert [each["duty"] for each in inbox["duties"]] == ["card"]
        assert inbox["panels"][0]["missing"] == list(JUDGES)
        for judge in JUDGES:
            done = (await place.run(judge, "act"))["done"]
            assert [(each["said"], each["fault"]) for each in done] == [("panel.card", None)]
        act = (await place.run("Rolf Registrar", "panel", "roster", panel))["act"]
        async with place.client("Rolf Registrar") as registrar:
            await approve(registrar, bytes.fromhex(act), place.authority)
        await place.run("Rolf Registrar", "panel", "open", panel)
        for judge in (*JUDGES, *JUDGES):
            assert "NOT done" not in await place.says(judge, "act")
        shown = (await place.run("Rolf Registrar", "panel", "show", panel))["panels"][0]
        assert (shown["waits_for"], shown["epoch"], shown["k"], len(shown["joint_key"])) == ("certified", 1, 2, 64)
        assert "nothing waits" in await place.says("Judge One", "inbox")

        # A case and a deposit, by the functions that their own commands call.
        case_id, panel_id = os.urandom(16), bytes.fromhex(panel)
        async with place.client("Clara Clerk") as clerk:
            await clerk.post(CaseOpen(case_id=case_id, note=None))
            for party in ("Dora Depositor", "Rita Recipient"):
                await clerk.post(CaseParty(case_id=case_id, member=place.id(party), note=None))
            await clerk.post(CaseAssign(case_id=case_id, panel_id=panel_id, presiding=place.id("Judge One")))
        (tmp_path / "evidence.txt").write_bytes(b"It was raining.")
        async with place.client("Dora Depositor") as depositor:
            deposit = (
                await Depositor(depositor).deposit(case_id, [Evidence(path=tmp_path / "evidence.txt")])
            ).deposit_id.hex()

        # Order, request, decisions.
        (tmp_path / "order.pdf").write_bytes(b"%PDF the order")
        (tmp_path / "other.pdf").write_bytes(b"%PDF another")
        (tmp_path / "words.txt").write_text("Bitte bis Montag.\n")
        words = str(tmp_path / "words.txt")
        ordered = await place.run(
            "Judge One",
            *("order", case_id.hex(), "--deposit", deposit, "--to", "Rita Recipient"),
            *("--paper", str(tmp_path / "order.pdf"), "--note", words),
        )
        asked = (await place.run("Rita Recipient", "request", ordered["order"], deposit, "--note", words))["request"]
        assert [each["duty"] for each in (await place.run("Judge Two", "inbox"))["duties"]] == ["decide"]
        docket = await place.run("Judge Two", "decide", asked)
        assert (docket["requester"]["name"], docket["order"]["presiding"]) == ("Rita Recipient", "Judge One")
        assert (docket["order"]["words"], docket["requester"]["words"]) == ("Bitte bis Montag.", "Bitte bis Montag.")
        assert (docket["decision"], docket["faults"]) == (None, [])
        await place.says("Judge Two", "decide", asked, "--grant", code=2)
        wrong = await place.says(
            "Judge Two", "decide", asked, "--grant", "--order", str(tmp_path / "other.pdf"), code=1
        )
        assert "wrong_document" in wrong
        paper = str(tmp_path / "order.pdf")
        granted = await place.run("Judge Two", "decide", asked, "--grant", "--order", paper)
        assert granted["grant_index"] < granted["contribution_index"]
        await place.run("Judge One", "decide", asked, "--refuse", "--reason", words)
        out = str(tmp_path / "sealed")
        assert "not_released" in await place.says("Rita Recipient", "fetch", deposit, "-o", out, code=1)
        await place.run("Judge Three", "decide", asked, "--grant", "--order", paper)

        # The recipient.
        (mine,) = (await place.run("Rita Recipient", "inbox"))["requests"]
        assert (mine["released"], mine["refused"]) == (True, ["Judge One"])
        fetched = await place.run("Rita Recipient", "fetch", deposit, "-o", out)
        assert len(fetched["files"]) == 2
        opened = await place.run(
            "Rita Recipient",
            *("open", asked, "--sealed", out, "-o", str(tmp_path / "out"), "--identity-out", str(tmp_path / "key.txt")),
        )
        assert [each["verdict"] for each in opened["items"]] == ["equal"]
        assert (tmp_path / "out" / "evidence.txt").read_bytes() == b"It was raining."
        assert (tmp_path / "key.txt").read_text().startswith("AGE-SECRET-KEY-1")
        again = await place.says("Rita Recipient", "open", asked, "-o", str(tmp_path / "again"), code=1)
        assert "key_lost" in again

        await holds(place, case_id.hex(), deposit, words)
        await release_rules(place, panel)

        # Judge Three leaves the case; with one judge less it would be locked, so nobody else can.
        await place.run("Judge Three", "case", "recuse", case_id.hex(), "--reason", words)
        assert "too_few_judges" in await place.says("Judge Two", "case", "recuse", case_id.hex(), code=1)
        assert "bad_option" in await place.says("Judge Two", "case", "recuse", case_id.hex(), "--judge", "x", code=2)
        left = (await place.run("Clara Clerk", "case", "show", case_id.hex()))["recused"]
        assert left == [{"member": place.id("Judge Three"), "name": "Judge Three"}]

        # The next epoch without Judge Three, who does not come; what was deposited before opens under it.
        # Whoever hands over sees what is overtaken; deposit and people, judges alone.
        stale = (await place.run("Rita Recipient", "request", ordered["order"], deposit))["request"]
        told = await place.says("Rolf Registrar", "panel", "propose", *JUDGES[:2], "-k", "2", "--panel", panel)
        assert "open requests: 1" in told
        assert f"{stale} until" in told
        assert deposit not in told
        left = await place.says("Judge Two", "inbox")
        assert f"Rita Recipient for the deposit {deposit}" in left
        assert "a handover overtakes it" in left
        for judge in JUDGES[:2]:
            assert [each["said"] for each in (await place.run(judge, "act"))["done"]] == ["panel.card"]
        act = (await place.run("Rolf Registrar", "panel", "roster", panel))["act"]
        async with place.client("Rolf Registrar") as registrar:
            await approve(registrar, bytes.fromhex(act), place.authority)
        handed = await place.says("Rolf Registrar", "panel", "open", panel)
        assert "hands the panel over" in handed
        assert f"{stale} until" in handed
        said = [
            [each["said"] for each in (await place.run(judge, "act"))["done"]] for judge in (*JUDGES[:2], "Judge One")
        ]
        assert said == [["panel.deal"], ["panel.deal", "panel.ack"], ["panel.ack"]]
        later = (await place.run("Rolf Registrar", "panel", "show", panel))["panels"][0]
        assert (later["waits_for"], later["epoch"], later["judges"]) == ("certified", 2, list(JUDGES[:2]))
        assert later["joint_key"] == shown["joint_key"]
        assert later["open_requests"] == []
        words_given = {each["judge"]: each["index"] is not None for each in later["destroyed"]}
        assert (words_given["Judge One"], words_given["Judge Three"]) == (True, False)
        seen = await place.says("Clara Clerk", "panel", "show", panel)
        assert "old secrets of epoch 1: Judge Three, Judge Two have not said so" in seen
        assert (later["health"]["epoch"], later["health"]["drill"], later["health"]["may_be_lost"]) == (2, None, None)
        assert "no drill of this epoch that you can see" in seen
        asked = (await place.run("Rita Recipient", "request", ordered["order"], deposit))["request"]
        assert "unknown_request" in await place.says(
            "Judge Three", "decide", asked, "--grant", "--order", paper, code=1
        )
        for judge in JUDGES[:2]:
            await place.run(judge, "decide", asked, "--grant", "--order", paper)
        await place.run("Rita Recipient", "open", asked, "-o", str(tmp_path / "second"))
        assert (tmp_path / "second" / "evidence.txt").read_bytes() == b"It was raining."
