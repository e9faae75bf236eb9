"""A bundle of headers of one's own: followed from the trust file's checkpoint, and nothing else is kept."""

import json
from pathlib import Path

import aiohttp
import pytest

from app.canonical import format_json
from app.cli.main import main
from app.client.header_source import node_source
from app.client.headers import ASKED, bundle_path, check_agrees, find_bundle, follow, follow_file, keep_bundle, work_of
from app.client.home import Home
from app.demo.calendar import EASY, BlockChain, mine, serving_calendar
from app.errors import BadInput, Mismatch, Unreachable
from app.statements.trust import Trust, parse_trust
from app.statements.trust_time import headers_json
from ledger.anchors.headers import HEADER_BYTES, Chain, parse_header
from tests.app.statements.test_trust import text

NOW = 1_700_000_000


def chain_of(blocks: int, when: int = NOW) -> BlockChain:
    chain = BlockChain(clock=lambda: when)
    chain.extend(blocks)
    return chain


def trust_for(chain: BlockChain, carried: bytes = b"") -> Trust:
    return parse_trust(format_json({**json.loads(text()), "headers": headers_json(chain.checkpoint, carried)}))


def empty(chain: BlockChain) -> Chain:
    return Chain(height=chain.checkpoint.height, headers=b"")


async def test_a_bundle_is_followed_over_many_answers_and_goes_on() -> None:
    chain = chain_of(2 * ASKED + 10)
    async with serving_calendar(chain=chain) as calendar, aiohttp.ClientSession() as http:
        ask = node_source(http, calendar.node)
        first = await follow(empty(chain), chain.checkpoint, ask, "it")
        assert first.headers == chain.raw
        chain.extend(3)
        again = await follow(first, chain.checkpoint, ask, "it")
        assert again.headers == chain.raw
        assert work_of(again) > work_of(first)


async def test_a_reorganisation_is_followed_only_with_more_work() -> None:
    chain = chain_of(20)
    kept = Chain(height=0, headers=chain.raw)
    for blocks, taken in ((15, False), (25, True)):
        fork = BlockChain(clock=lambda: NOW + 1)
        fork.headers = chain.headers[:11]
        fork.extend(blocks - 10)
        async with serving_calendar(chain=fork) as calendar, aiohttp.ClientSession() as http:
            found = await follow(kept, chain.checkpoint, node_source(http, calendar.node), "it")
        assert (found.headers == fork.raw) is taken


async def test_sources_that_lie_are_named() -> None:
    chain, other = chain_of(10), chain_of(10, NOW + 5)
    async with serving_calendar(chain=other) as calendar, aiohttp.ClientSession() as http:
        with pytest.raises(Unreachable, match="does not know"):
            await follow(empty(chain), chain.checkpoint, node_source(http, calendar.node), "it")
    async with serving_calendar(chain=chain) as calendar, aiohttp.ClientSession() as http:
        ask = node_source(http, calendar.node)
        for tampered, said in (
            (lambda _path, data: data[:-1], "no headers"),
            (lambda _path, _data: bytes((ASKED + 1) * HEADER_BYTES), "no headers"),
            (lambda _path, data: data[HEADER_BYTES:], "wrong_chain"),
            (lambda _path, data: data[: 3 * HEADER_BYTES] + data[4 * HEADER_BYTES :], "broken_linkage"),
        ):
            calendar.tamper = tampered
            with pytest.raises(Mismatch, match=said):
                await follow(empty(chain), chain.checkpoint, ask, "it")
        calendar.faults.add("/node")
        with pytest.raises(Unreachable):
            await follow(empty(chain), chain.checkpoint, ask, "it")


def test_what_is_kept_is_checked_when_it_is_used(tmp_path: Path) -> None:
    chain = chain_of(10)
    home, trust = Home(tmp_path), trust_for(chain)
    assert find_bundle(home, trust) is None
    path = bundle_path(home, chain.checkpoint)
    keep_bundle(path, Chain(height=0, headers=chain.raw))
    found = find_bundle(home, trust)
    assert found is not None
    assert found.tip == 10
    damaged = bytearray(chain.raw)
    damaged[5 * HEADER_BYTES + 40] ^= 1
    path.write_bytes(bytes(damaged))
    with pytest.raises(BadInput, match=r"broken_linkage|header_without_work"):  # his own file: no verdict on any proof
        find_bundle(home, trust)


def test_a_bundle_must_agree_with_the_headers_of_the_trust_file() -> None:
    chain = chain_of(10)
    fork = BlockChain(clock=lambda: NOW + 1)
    fork.headers = chain.headers[:6]
    fork.extend(20)
    trust = trust_for(chain, chain.raw)
    found = follow_file(empty(chain), chain.checkpoint, fork.raw, "it")
    with pytest.raises(Mismatch, match="other headers"):
        check_agrees(found, trust, "it")


def test_the_command_keeps_and_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = chain_of(30)
    monkeypatch.setenv("MUNIMENT_HOME", str(tmp_path / "home"))
    (tmp_path / "trust.json").write_text(trust_for(chain).text)
    (tmp_path / "headers.bin").write_bytes(chain.raw)
    place = ["--trust", str(tmp_path / "trust.json")]
    assert main(["headers", "show", *place]) == 0
    assert "no headers yet" in capsys.readouterr().out
    assert main(["headers", "update", "--from", str(tmp_path / "headers.bin"), *place, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["headers"], told["new"], told["tip"]["height"]) == (31, 31, 30)
    assert main(["headers", "update", "--from", str(tmp_path / "headers.bin"), *place]) == 0
    assert "nothing new" in capsys.readouterr().out
    shorter = chain.raw[:-HEADER_BYTES] + mine(bytes(32), bytes(32), NOW, EASY).raw
    (tmp_path / "headers.bin").write_bytes(shorter)
    assert main(["headers", "update", "--from", str(tmp_path / "headers.bin"), *place]) == 1
    assert "broken_linkage" in capsys.readouterr().err
    assert main(["headers", "show", *place, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tip"]["hash"] == parse_header(chain.raw[-HEADER_BYTES:]).text
    (tmp_path / "trust.json").write_text(text())
    assert main(["headers", "show", *place]) == 2


def test_a_trust_file_without_a_checkpoint_has_no_chain() -> None:
    from app.client.headers import checkpoint_of

    with pytest.raises(BadInput):
        checkpoint_of(parse_trust(text()))
