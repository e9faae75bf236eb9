"""Logs: lines that cannot be forged, the request's id in them and at the client, and nothing secret or personal."""

import base64
import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical import b64u_encode, format_json
from app.logs import REQUEST, JsonLines, TextLines
from app.statements.kinds import CaseOpen
from tests.app.rules.world import fresh, peopled, seed
from tests.service.house import RealDeposit, court, open_house

JSON, TEXT = JsonLines(), TextLines()


def record(message: str, *arguments: object, error: Exception | None = None) -> logging.LogRecord:
    raised = (type(error), error, error.__traceback__) if error is not None else None
    return logging.LogRecord("muniment.x", logging.INFO, "here", 1, message, arguments, raised)


@contextmanager
def logged(formatter: logging.Formatter) -> Iterator[io.StringIO]:
    """Everything that is logged meanwhile, from DEBUG on, as this formatter writes it."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(formatter)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@given(st.text())
def test_what_is_quoted_makes_no_line_of_its_own(quoted: str) -> None:
    line = JSON.format(record("said %s", quoted))
    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == f"said {quoted}"
    text = TEXT.format(record("said %s", quoted)).split("\n")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO muniment\.x said ", text[0])
    assert all(line.startswith("    ") for line in text[1:])
    assert all(line.isprintable() for line in text)


def test_an_exception_is_its_kind_and_place_without_its_text() -> None:
    try:
        raise ValueError("the " + "secret")  # so that this line of code, which a frame shows, is not the text
    except ValueError as error:
        found = record("a fault", error=error)
    for line in (JSON.format(found), TEXT.format(found)):
        assert "ValueError" in line
        assert "test_logs.py" in line
        assert "the secret" not in line
    assert json.loads(JSON.format(found))["trace"][0] == "ValueError"


async def test_each_answer_has_an_id_that_its_log_lines_have() -> None:
    async with open_house(peopled()) as house:
        await house.push()
        with logged(JSON) as stream:
            good = await house.call("GET", "/checkpoint")
            lost = await house.call("GET", "/nowhere", Muniment_Request="0123456789abcdef")
            bad = await house.call("BREW", "/teapot")
        ids = [each.headers["Muniment-Request"] for each in (good, lost, bad)]
        assert len({*ids, "0123456789abcdef"}) == 4  # what a client sends is not taken over
        assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in ids)
        assert lost.json["instance"] == f"urn:muniment:incident:{ids[1]}"
        assert bad.json["instance"] == f"urn:muniment:incident:{ids[2]}"
        lines = [json.loads(each) for each in stream.getvalue().splitlines()]
        for id, words in zip(ids, ("GET /checkpoint 200", "GET (no route) 404", "no answerable request"), strict=True):
            assert any(each.get("request") == id and each["message"].startswith(words) for each in lines)
        assert REQUEST.get() == ""


@pytest.mark.parametrize("formatter", [JSON, TEXT], ids=["json", "text"])
async def test_the_logs_of_a_run_hold_no_secret_and_nothing_personal(formatter: logging.Formatter) -> None:
    release = court()
    world, deposit = release.world, release.deposit
    assert isinstance(deposit, RealDeposit)
    with logged(formatter) as stream:
        async with open_house(world) as house:
            await house.push()
            await house.upload(deposit)
            places = (await house.places(deposit)).json["places"]
            world.do("lawyer1", deposit.claims)
            await house.push()
            token = await house.token("lawyer1")
            path = f"/v1/deposits/{deposit.claims.deposit_id.hex()}"
            assert (await house.call("GET", f"{path}?token={token}", by="lawyer1")).status == 200
            assert (await house.call("GET", path, by="outsider")).status in (403, 404)
            assert (await house.call("GET", path, Authorization=f"Bearer {token}x")).status == 401
            assert (await house.call("GET", f"/{token}")).status == 404
            assert (await house.call("POST", "/v1/challenge", format_json({"kid": token}).encode())).status in (
                400,
                422,
            )
            assert (await house.post(world.entries[-1].statement + "x")).status in (400, 422)
            assert (await house.post(world.sign("lawyer1", CaseOpen(case_id=fresh("no"), note=None)))).status == 409
            tokens = [*house.tokens.values()]
            tokens += [value for each in places for value in (each["url"], *each["headers"].values())]
    text = stream.getvalue()
    assert "POST /v1/statements 201" in text
    assert not secrets_in(text, tokens, [*world.signers])
    # The search finds what it is for.
    for leak in (token, seed("log").hex(), "'lawyer1'", world.signer("judge1").kid):
        assert secrets_in(f"{text} {leak}", tokens, [*world.signers])


def secrets_in(text: str, tokens: list[str], names: list[str]) -> list[str]:
    """Tokens, secret keys in any common form, statements, members' names and ids that stand in a log."""
    keys = [form for name in names for form in forms(seed(name))]
    people = [each for each in names if each not in ("log", "service", "registrar", "clerk")]
    held = [each for each in (*keys, *(each for each in tokens if len(each) > 16)) if each in text]
    held += [each for each in people if re.search(rf"\b{re.escape(each)}\b", text)]
    return held + re.findall(r"eyJ\w+|(?<![\w/-])[A-Za-z0-9_-]{43}(?![\w/-])", text)


def forms(key: bytes) -> tuple[str, ...]:
    return key.hex(), b64u_encode(key), base64.b64encode(key).decode(), repr(key)
