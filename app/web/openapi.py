"""The OpenAPI 3.1 document, made from the table of routes."""

import inspect
import re
from importlib.metadata import version

from aiohttp import web

from app.service.uploads import MAX_PLACES
from app.web.answers import json_answer
from app.web.deposits import PLACE_HEADER
from app.web.routes import ROUTES, Body, Route

PROBLEM = "application/problem+json"
_HEX16, _HEX32 = {"type": "string", "pattern": "^[0-9a-f]{32}$"}, {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_TEXT, _NUMBER, _BOOL = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
_B64 = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}


def _object(**properties: object) -> dict[str, object]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(items: object) -> dict[str, object]:
    return {"type": "array", "items": items}


_SEGMENT = _object(item=_NUMBER, segment=_NUMBER, size=_NUMBER, sha256=_HEX32)
_PLACE = _object(
    item=_NUMBER,
    segment=_NUMBER,
    present=_BOOL,
    method={"const": "PUT"},
    url={"type": "string", "format": "uri-reference"},
    headers={"type": "object", "additionalProperties": _TEXT},
    expires=_NUMBER,
)
SCHEMAS: dict[str, dict[str, object]] = {
    "Problem": _object(
        type=_TEXT, title=_TEXT, status=_NUMBER, detail=_TEXT, instance=_TEXT, code=_TEXT, next_step=_TEXT
    ),
    "Registry": _object(
        format={"const": "muniment-registry/v1"},
        origin=_TEXT,
        genesis=_HEX32,
        log=_TEXT,
        version=_TEXT,
        limits=_object(statement_bytes=_NUMBER, manifest_bytes=_NUMBER, note_bytes=_NUMBER, segment_bytes=_NUMBER),
    ),
    "Health": _object(status=_TEXT),
    "Receipt": _object(index=_NUMBER, digest=_HEX32, leaf=_TEXT, size=_NUMBER, tlog_proof=_TEXT),
    "Anchoring": _object(status={"enum": ["off", "working", "failing"]}),
    "Anchor": _object(checkpoint=_TEXT, anchor=_B64, headers={"type": ["string", "null"]}),
    "Kid": _object(kid=_B64),
    "Challenge": _object(challenge=_TEXT, expires=_NUMBER),
    "Response": _object(response=_TEXT),
    "Token": _object(token=_TEXT, expires=_NUMBER),
    "Me": _object(member=_B64, role=_TEXT, name=_TEXT, cases=_list(_HEX16), panels=_list(_HEX32)),
    "Listing": _object(statements=_list(_object(index=_NUMBER, leaf=_TEXT, statement=_TEXT)), more=_BOOL),
    "OpenRequests": _object(
        requests=_list(
            _object(
                request=_HEX32,
                status={"enum": ["notice", "waits", "released"]},
                opens_at=_NUMBER,
                expires_at=_NUMBER,
            )
        )
    ),
    "Deposit": _object(statement=_TEXT, index=_NUMBER, leaf=_TEXT, manifest=_TEXT),
    "Named": {"type": "object", "additionalProperties": _TEXT},
    "Usage": _object(used=_NUMBER, limit={"type": ["integer", "null"], "minimum": 0}),
    "Begin": {**_object(case_id=_HEX16, bytes=_NUMBER), "required": ["case_id"]},
    "Upload": _object(
        case_id=_HEX16,
        segments=_list(_SEGMENT),
        manifest={"type": ["string", "null"], "pattern": "^[0-9a-f]{64}$"},
        boxes=_list(_HEX32),
    ),
    "Wish": _object(
        lang={"enum": ["en", "zh", "en+zh"]},
        annexes={**_list({"enum": ["cn", "eu", "us"]}), "maxItems": 3, "uniqueItems": True},
        proof={"type": "string", "description": "the proof file's text (muniment-proof/v1)"},
        record={"type": ["string", "null"], "description": "a release record's text, which shows an opening"},
    ),
    "Document": _object(
        lang={"enum": ["en", "zh", "en+zh"]},
        text={"type": "string", "description": "a release record, or the report of a store audit"},
    ),
    "Segments": _object(segments={**_list(_SEGMENT), "minItems": 1, "maxItems": MAX_PLACES}),
    "Places": _object(places=_list(_PLACE)),
    "Manifest": {"type": "object", "description": "the manifest in its canonical form"},
    "Download": _object(request=_HEX32),
    "Boxes": _object(access=_HEX32, deposit_id=_HEX16, boxes=_list(_object(panel_id=_HEX32, ct_hash=_HEX32, box=_B64))),
}
_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "anyone": [],
    "member": [{"bearer": []}],
    "perhaps": [{}, {"bearer": []}],
    "place": [{"place": []}],
}


def document() -> dict[str, object]:
    """Return the OpenAPI document."""
    paths: dict[str, dict[str, object]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    described = _open_operation("describe_openapi", "This document.", Body(media="application/json"))
    paths["/openapi.json"] = {"get": described}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Muniment",
            "version": version("muniment"),
            "description": "One registry of judicial evidence. What it answers can be checked against its ledger.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "place": {"type": "apiKey", "in": "header", "name": PLACE_HEADER},
            },
        },
    }


async def describe(_request: web.Request) -> web.Response:
    """Serve the document."""
    return json_answer(document())


def _operation(route: Route) -> dict[str, object]:
    made: dict[str, object] = {
        "operationId": route.operation,
        "summary": (inspect.getdoc(route.handler) or "").split("\n")[0],
        "tags": [route.tag],
        "security": _SECURITY[route.who],
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": _TEXT}
                for name in re.findall(r"{([a-z0-9_]+)}", route.path)
            ),
            *({"name": name, "in": "query", "required": False, "schema": _NUMBER_OR_FIRST} for name in route.query),
        ],
        "responses": {
            **{str(status): {"description": "done", "content": _content(body)} for status, body in route.answers},
            "default": {"description": "a problem (RFC 9457)", "content": {PROBLEM: {"schema": _ref("Problem")}}},
        },
    }
    if route.takes is not None:
        made["requestBody"] = {"required": True, "content": _content(route.takes)}
    return made


_NUMBER_OR_FIRST = {"type": "integer", "minimum": -1}


def _open_operation(name: str, summary: str, body: Body) -> dict[str, object]:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["open to anyone"],
        "security": [],
        "responses": {"200": {"description": "done", "content": _content(body)}},
    }


def _content(body: Body) -> dict[str, object]:
    return {body.media: {} if body.schema is None else {"schema": _ref(body.schema)}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
