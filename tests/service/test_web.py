"""The HTTP face: one form of problem, limits, headers, tokens, tiles, its description, and never a 500."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.canonical import format_json
from app.service.tokens import RESPONSE_TYP
from app.statements.kinds import CaseOpen, MemberEnrol, MemberKey, MemberRevoke
from app.statements.statement import parse_statement
from app.web.application import make_application
from app.web.keys import REGISTRY
from app.web.openapi import SCHEMAS, document
from app.web.routes import ROUTES
from ledger.checkpoint import verify_checkpoint
from ledger.merkle import leaf_hash, root_of
from ledger.tiles import Bundle, Tile, decode_bundle
from tests.app.rules.world import NOTES, ORIGIN, fresh, peopled
from tests.service.house import Answer, House, court, open_house


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house(peopled()) as found:
        await found.push()
        yield found


async def raw(house: House, request: bytes) -> bytes:
    """Send bytes as they are; return the head of the answer and what of the body came with it."""
    host, port = house.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        length = re.search(rb"Content-Length: ([0-9]+)", head)
        assert length is not None
        return head + await reader.readexactly(int(length[1]))
    finally:
        writer.close()


async def test_every_route_is_described_and_every_description_is_a_route(house: House) -> None:
    served = (await house.call("GET", "/openapi.json")).json
    assert served == json.loads(format_json(document()))
    assert served["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, item in served["paths"].items() for method in item}
    routed = {(route.method, route.path) for route in ROUTES} | {("GET", "/openapi.json")}
    assert described == routed
    application = make_application(house.registry)
    assert application[REGISTRY] is house.registry
    registered = {
        (each.method, re.sub(r"{path}", "{path}", each.resource.canonical))
        for each in application.router.routes()
        if each.resource is not None and each.method != "HEAD"
    }
    assert registered == routed
    operations = [item["operationId"] for path in served["paths"].values() for item in path.values()]
    assert len(set(operations)) == len(operations)
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(served)))
    assert references == set(SCHEMAS)
    for path, item in served["paths"].items():
        for operation in item.values():
            named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))


async def test_the_checkpoint_and_the_tiles_give_the_tree(house: House) -> None:
    answer = await house.call("GET", "/checkpoint")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    checkpoint = verify_checkpoint(answer.body.decode(), [house.registry.log_key])
    leaves = [entry.leaf.encode() for entry in house.world.entries]
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, len(leaves))
    assert checkpoint.root == root_of(leaf_hash(leaf) for leaf in leaves)
    bundle = await house.call("GET", Bundle(index=0, width=len(leaves)).path)
    assert decode_bundle(bundle.body, len(leaves)) == tuple(leaves)
    assert "immutable" in bundle.headers["Cache-Control"]
    tile = await house.call("GET", Tile(level=0, index=0, width=len(leaves)).path)
    assert tile.body == b"".join(leaf_hash(leaf) for leaf in leaves)
    for path in (
        "tile/0/000",
        f"tile/0/000.p/{len(leaves) + 1}",
        "tile/0/000.p/0",
        "tile/x",
        "tile/64/000",
        "tile/0/00",
    ):
        assert (await house.call("GET", path)).code == "not_found"


async def test_the_registry_says_what_it_is(house: House) -> None:
    found = (await house.call("GET", "/v1/registry")).json
    assert (found["format"], found["origin"]) == ("muniment-registry/v1", ORIGIN)
    assert found["log"] == house.registry.log_key.text
    assert found["limits"] == {
        "statement_bytes": 131_072,
        "manifest_bytes": 4_194_304,
        "note_bytes": 65_536,
        "segment_bytes": 33_562_808,
    }
    assert (await house.call("GET", "/healthz")).json == {"status": "alive"}
    assert (await house.call("GET", "/readyz")).json["status"] == "ready"


async def test_problems_have_one_form_and_answers_their_headers(house: House) -> None:
    for answer in (
        await house.call("GET", "/nowhere"),
        await house.call("DELETE", "/checkpoint"),
        await house.call("GET", "/v1/me"),
        await house.call("GET", "/v1/statements/zz"),
        await house.call("GET", f"/v1/statements/{'00' * 32}"),
        await house.call("POST", "/v1/challenge", b"{"),
        await house.call("POST", "/v1/challenge", b'{"kid":1}'),
        await house.call("GET", "/v1/me", Authorization="Basic x"),
        await house.call("GET", "/v1/me", Authorization="Bearer x"),
    ):
        assert answer.code
        assert 400 <= answer.status < 500
    for answer in (await house.call("GET", "/nowhere"), await house.call("GET", "/checkpoint")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Server"] == "muniment"
    assert (await house.call("GET", "/v1/me")).headers["WWW-Authenticate"] == "Bearer"


async def test_bytes_that_are_no_http_are_answered_without_a_trace(house: House) -> None:
    for request in (
        b"GET\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 10_000 + b"\r\n\r\n",
        b"POST /v1/statements HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/statements HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ):
        answer = await raw(house, request)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), answer[:200]
        assert b"application/problem+json" in head, answer[:300]
        assert json.loads(body)["code"] == "bad_request"
        assert b"Traceback" not in answer
    assert (await house.call("GET", "/healthz")).status == 200


async def test_a_body_beyond_its_limit_is_refused_before_it_is_read(house: House) -> None:
    head = b"POST /v1/statements HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n"
    answer = await raw(house, head)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"code":"too_large"' in answer


async def test_a_sender_who_goes_away_in_the_middle_is_no_fault_of_ours(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = house.url.removeprefix("http://").split(":")
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"POST /v1/statements HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
            await writer.drain()
            assert (await house.call("GET", "/healthz")).status == 200
            writer.close()
            await writer.wait_closed()
        for _ in range(1000):  # until the service has seen the connections end
            if caplog.text.count("POST /v1/statements 400") == 3:
                break
            await house.call("GET", "/healthz")
    assert caplog.text.count("POST /v1/statements 400") == 3
    assert "incident" not in caplog.text
    assert "Traceback" not in caplog.text


async def test_headers_that_are_no_text_are_refused(house: House) -> None:
    for name in (b"Authorization: Bearer ", b"Muniment-Place: "):
        path = f"/v1/uploads/{'00' * 16}/segments/0/0".encode() if name.startswith(b"M") else b"/v1/me"
        method = b"PUT " if name.startswith(b"M") else b"GET "
        answer = await raw(house, method + path + b" HTTP/1.1\r\nHost: x\r\n" + name + b"\xff\xfe.\xff\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 400")), answer[:300]


async def test_tokens_end_with_time_key_and_membership(house: House) -> None:
    world = house.world
    token = await house.new_token("lawyer1")

    async def me(token: str) -> Answer:
        return await house.call("GET", "/v1/me", Authorization=f"Bearer {token}")

    assert (await me(token)).json == {
        "member": world.id("lawyer1"),
        "role": "depositor",
        "name": "lawyer1",
        "cases": [],
        "panels": [],
    }
    assert (await me(token[:-1] + ("A" if token[-1] != "A" else "B"))).code == "bad_token"
    house.clock[0] += 900
    assert (await me(token)).code == "token_expired"
    second, third = await house.new_token("lawyer1"), await house.new_token("lawyer2")
    assert (await me(second)).status == 200
    new = MemberKey(member=world.id("lawyer1"), role="depositor", key=world.signer("new").public, notes=NOTES)
    assert (await house.post(world.sign("lawyer1", new, exp=house.clock[0] + 60))).status == 201
    assert (await me(second)).code == "unauthorized"
    gone = MemberRevoke(member=world.id("lawyer2"), role="party")
    assert (await house.post(world.sign("registrar", gone, exp=house.clock[0] + 60))).status == 201
    assert (await me(third)).code == "unauthorized"
    assert (await me(await house.new_token("new"))).json["member"] == world.id("lawyer1")


async def test_only_a_members_current_key_gets_a_token_for_this_registry(house: House) -> None:
    world = house.world

    async def ask(name: str, *, aud: str = ORIGIN, kid: str = "") -> Answer:
        signer = world.signer(name)
        given = await house.send("POST", "/v1/challenge", {"kid": kid or signer.kid})
        payload = format_json({"aud": aud, "challenge": given.json["challenge"]})
        return await house.send("POST", "/v1/token", {"response": signer.sign_text(RESPONSE_TYP, payload)})

    assert (await ask("lawyer1")).status == 200
    for name in ("stranger", "log", "service", "authority1"):
        assert (await ask(name)).code == "unauthorized"
    assert (await ask("lawyer1", aud="ledger.example/other")).code == "wrong_ledger"
    assert (await ask("lawyer1", kid=world.id("clerk"))).code == "bad_token"
    assert (await house.send("POST", "/v1/challenge", {"kid": "short"})).status == 422


async def test_what_each_role_reads_is_what_the_column_says() -> None:
    release = court()
    world = release.world
    async with open_house(world) as house:
        await house.push()
        case = f"/v1/cases/{release.case_id.hex()}/statements"
        in_case = {"clerk", "judge1", "judge2", "judge3", "lawyer1", "lawyer2"}
        everyone = (*in_case, "registrar", "auditor", "outsider")
        for name in everyone:
            answer = await house.call("GET", case, by=name)
            me = (await house.call("GET", "/v1/me", by=name)).json
            if name in in_case:
                assert answer.status == 200
                assert me["cases"] == [release.case_id.hex()]
            else:
                assert answer.code == "forbidden"
                assert me["cases"] == []
            assert me["panels"] == ([release.ceremony.panel_id.hex()] if name.startswith("judge") else [])
        listed = (await house.call("GET", case, by="judge2")).json
        private = [e for e in world.entries if '"kind":"private"' in e.leaf]
        concerned = [e for e in private if _member_of(e.statement) not in ("auditor", "outsider")]
        assert [each["index"] for each in listed["statements"]] == [entry.index for entry in concerned]
        assert [each["statement"] for each in listed["statements"]] == [entry.statement for entry in concerned]
        assert [each["leaf"] for each in listed["statements"]] == [entry.leaf for entry in concerned]
        assert listed["more"] is False
        paged: list[int] = []
        after = -1
        while True:
            page = (await house.call("GET", f"{case}?after={after}&limit=1", by="judge2")).json
            paged += [each["index"] for each in page["statements"]]
            if not page["more"]:
                break
            after = paged[-1]
        assert paged == [entry.index for entry in concerned]
        for entry in world.entries:
            digest = json.loads(entry.leaf)["digest"]
            path, proof = f"/v1/statements/{digest}", f"/v1/proofs/{digest}"
            if entry not in private:
                found = await house.call("GET", path)
                assert (found.status, found.body.decode()) == (200, entry.statement)
                assert found.headers["Content-Type"] == "application/jose"
                assert (await house.call("GET", proof)).json["index"] == entry.index
                continue
            assert (await house.call("GET", path)).code == "unauthorized"
            subject = _member_of(entry.statement)
            readers = in_case if subject is None else {"registrar", subject}
            if subject in in_case:
                readers = readers | in_case
            for name in everyone:
                status = 200 if name in readers else 403
                assert (await house.call("GET", path, by=name)).status == status, (name, entry.index)
                assert (await house.call("GET", proof, by=name)).status == status
        mine = (await house.call("GET", "/v1/members/statements", by="outsider")).json["statements"]
        assert [_member_of(each["statement"]) for each in mine] == ["outsider"]
        every = (await house.call("GET", "/v1/members/statements", by="registrar")).json["statements"]
        assert {_member_of(each["statement"]) for each in every} == {"lawyer1", "lawyer2", "auditor", "outsider"}
        for query in ("limit=0", "limit=201", "after=-2", "after=01", "limit=1&limit=2", "after=%20", "limit="):
            assert (await house.call("GET", f"{case}?{query}", by="clerk")).code == "bad_field"


def _member_of(text: str) -> str | None:
    claims = parse_statement(text).claims
    return claims.name if isinstance(claims, MemberEnrol) else None


async def test_the_log_names_routes_and_never_what_was_sent(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.DEBUG, "muniment"):
        token = await house.token("lawyer1")
        await house.call("GET", f"/v1/members/statements?after=-1&limit=77&secret={token}", by="lawyer1")
        await house.post(house.world.sign("clerk", CaseOpen(case_id=fresh("l"), note=None)))

        async def fault(*_arguments: object) -> None:
            raise RuntimeError(f"the secret is {token}")

        monkeypatch.setattr(house.registry.reading, "me", fault)
        answer = await house.call("GET", "/v1/me", by="lawyer1")
    assert (answer.status, answer.code) == (500, "internal")
    incident = answer.json["instance"].rpartition(":")[2]
    assert "RuntimeError" not in answer.body.decode()
    text = caplog.text
    assert incident in text
    assert "RuntimeError" in text
    assert "GET /v1/members/statements 200" in text
    assert token not in text
    assert "limit=77" not in text
    assert "eyJ" not in text


def _filled(path: str, values: list[str]) -> str:
    rest = iter(values)
    return re.sub(r"{\w+}", lambda _match: next(rest), path)


_SEGMENTS = st.one_of(
    st.sampled_from(
        ["v1", "statements", "uploads", "places", "tile", "entries", "000", "..", "%2e%2e", "0", "-1", "x"]
    ),
    st.sampled_from(
        ["00" * 16, "00" * 32, "deposits", "segments", "cases", "members", "proofs", "notes", "%00", "%ff"]
    ),
    st.text(max_size=8).map(lambda text: "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "replace"))),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"]),
    route=st.one_of(
        st.lists(_SEGMENTS, max_size=7).map(lambda parts: "/" + "/".join(parts)),
        st.tuples(st.sampled_from(ROUTES), st.lists(_SEGMENTS, min_size=4, max_size=4)).map(
            lambda pair: _filled(pair[0].path, pair[1])
        ),
    ),
    query=st.sampled_from(["", "?after=%ff", "?limit=99999999999999999999", "?a=b&a", "?%"]),
    body=st.one_of(
        st.none(),
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=8,
        ).map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    ),
    signed_in=st.booleans(),
)
async def test_no_request_is_ever_a_fault(
    house: House, *, method: str, route: str, query: str, body: bytes | None, signed_in: bool
) -> None:
    answer = await house.call(method, route + query, body, by="lawyer1" if signed_in else None)
    assert answer.status < 500, (method, route, answer.body)
    if answer.status >= 400 and method != "HEAD":
        assert answer.code
