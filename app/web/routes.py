"""The one table of routes: handlers and the OpenAPI document are both made from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from app.web import anchors, certificates, deposits, public, statements

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Who = Literal["anyone", "member", "perhaps", "place"]
"""Who may ask: anyone; a member with a token; a member where the thing is private; whoever holds a place's token."""

PDF = "application/pdf"
JSON, JOSE, OCTETS, TEXT = "application/json", "application/jose", "application/octet-stream", "text/plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request's or an answer's body: media type, and for JSON the name of its schema."""

    media: str
    schema: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One path and method. `answers` maps each status of success to its body."""

    method: Literal["GET", "POST", "PUT"]
    path: str
    handler: Handler
    who: Who
    answers: tuple[tuple[int, Body], ...]
    takes: Body | None = None
    query: tuple[str, ...] = ()
    tag: str

    @property
    def pattern(self) -> str:
        """The path as aiohttp wants it: `{path}` of tiles spans segments."""
        return self.path.replace("{path}", "{path:.+}")

    @property
    def operation(self) -> str:
        """A stable name: the handler's module and name."""
        return f"{self.handler.__module__.rpartition('.')[2]}_{self.handler.__name__}"


def _json(schema: str) -> Body:
    return Body(media=JSON, schema=schema)


def _ok(body: Body) -> tuple[tuple[int, Body], ...]:
    return ((200, body),)


def _new(body: Body) -> tuple[tuple[int, Body], ...]:
    return ((200, body), (201, body))


def _open(path: str, handler: Handler, body: Body) -> Route:
    return Route(method="GET", path=path, handler=handler, who="anyone", answers=_ok(body), tag="open to anyone")


def _read(path: str, handler: Handler, body: Body, *, who: Who = "member", query: tuple[str, ...] = ()) -> Route:
    return Route(method="GET", path=path, handler=handler, who=who, answers=_ok(body), query=query, tag="reads")


def _put(path: str, handler: Handler, takes: Body, answer: Body, *, who: Who = "member") -> Route:
    return Route(method="PUT", path=path, handler=handler, who=who, answers=_new(answer), takes=takes, tag="depositing")


def _post(path: str, handler: Handler, takes: Body, answers: tuple[tuple[int, Body], ...], whose: str) -> Route:
    who: Who = "member" if whose in ("depositing", "release", "certificates") else "anyone"
    return Route(method="POST", path=path, handler=handler, who=who, answers=answers, takes=takes, tag=whose)


_PAGE = ("after", "limit")
_UPLOAD = "/v1/uploads/{deposit_id}"

ROUTES: tuple[Route, ...] = (
    _open("/checkpoint", public.checkpoint, Body(media=TEXT)),
    _open("/tile/{path}", public.tile, Body(media=OCTETS)),
    _open("/v1/registry", public.describe, _json("Registry")),
    _open("/healthz", public.alive, _json("Health")),
    _open("/readyz", public.ready, _json("Health")),
    _open("/v1/anchors", anchors.status, _json("Anchoring")),
    _open("/v1/anchors/{digest}", anchors.anchor, _json("Anchor")),
    _read("/v1/statements/{digest}", statements.statement, Body(media=JOSE), who="perhaps"),
    _post("/v1/statements", statements.post, Body(media=JOSE), _new(_json("Receipt")), "the one door"),
    _post("/v1/challenge", statements.challenge, _json("Kid"), _ok(_json("Challenge")), "tokens"),
    _post("/v1/token", statements.token, _json("Response"), _ok(_json("Token")), "tokens"),
    _read("/v1/me", statements.me, _json("Me")),
    _read("/v1/cases/{case_id}/statements", statements.case_statements, _json("Listing"), query=_PAGE),
    _read("/v1/members/statements", statements.member_statements, _json("Listing"), query=_PAGE),
    _read("/v1/panels/{panel_id}/requests", statements.open_requests, _json("OpenRequests")),
    _read("/v1/proofs/{digest}", statements.proof, _json("Receipt"), who="perhaps"),
    _read("/v1/deposits/{deposit_id}", statements.deposit, _json("Deposit")),
    _read("/v1/notes/{sha256}", deposits.get_note, Body(media=OCTETS)),
    _put("/v1/notes/{sha256}", deposits.put_note, Body(media=OCTETS), _json("Named")),
    _read("/v1/usage", deposits.usage, _json("Usage")),
    _put(_UPLOAD, deposits.begin, _json("Begin"), _json("Named")),
    _read(_UPLOAD, deposits.status, _json("Upload")),
    _post(f"{_UPLOAD}/places", deposits.places, _json("Segments"), _ok(_json("Places")), "depositing"),
    _put(
        f"{_UPLOAD}/segments/{{item}}/{{segment}}",
        deposits.put_segment,
        Body(media=OCTETS),
        _json("Named"),
        who="place",
    ),
    _put(f"{_UPLOAD}/manifest", deposits.put_manifest, _json("Manifest"), _json("Named")),
    _put(f"{_UPLOAD}/boxes/{{ct_hash}}", deposits.put_box, Body(media=OCTETS), _json("Named")),
    _post("/v1/downloads", deposits.download, _json("Download"), _ok(_json("Boxes")), "release"),
    _post("/v1/certificates", certificates.issue, _json("Wish"), _ok(Body(media=PDF)), "certificates"),
    _post("/v1/documents", certificates.document, _json("Document"), _ok(Body(media=PDF)), "certificates"),
    _post("/v1/certificates/longer", certificates.longer, Body(media=PDF), _ok(Body(media=PDF)), "certificates"),
    _read("/v1/deposits/{deposit_id}/segments/{item}/{segment}", deposits.get_segment, Body(media=OCTETS)),
)
