"""Keys refused: a recipient enrolled with a key of small order, in whose name anybody asks, and reads what is released.

The registrar enrols him, the registry looks at no key, and the court orders a deposit opened for him. The service makes
the request itself, with a recipient key of its own.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from app.canonical import b64u_encode, format_json
from app.client.judge import Judge
from app.client.release import order
from app.errors import AppError
from app.fields import write_record
from app.panels.group import G
from app.panels.making.opening import open_capsule
from app.panels.making.proof import prove
from app.panels.request import REQUEST_TYPE, request_statement
from app.panels.wire import VERSION
from app.rules.act import Circumstances
from app.rules.aggregates import Request
from app.rules.decide import Admitted, Refusal, decide
from app.rules.view import View
from app.statements.keys import thumbprint
from app.statements.kinds import KIND_OF, CaseParty, MemberEnrol, ReleaseRequest
from app.statements.statement import TYP, Envelope, Statement, parse_statement
from tests.app.client.panel_service import PAPER, Bench, Evidence, with_panel
from tests.app.client.test_betrayal import panel_of
from tests.app.client.test_client_rules import believing
from tests.app.client.test_keys_refused import BAD_HOSTS, signature_by, signature_of_nobody
from tests.app.client.world_service import keys_of
from tests.app.panels.corrupt import secret

NOBODY = BAD_HOSTS["small order"]


@contextmanager
def unchecked(*, requests: bool = True) -> Iterator[None]:
    """Code that looks neither at the keys in statements nor, with `requests`, at those in requests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.statements.keys.check_public_key", lambda _key, _what: None)
        if requests:
            patch.setattr("app.panels.request.good_key", lambda _key, _error: None)
        yield


def gullible(view: View, statement: Statement, circumstances: Circumstances) -> Admitted | Refusal:
    """The law of a registry that looks at no key."""
    with unchecked():
        return decide(view, statement, circumstances)


@dataclass
class Nobody:
    """Signs without a secret, as the member who has that key."""

    public: bytes = NOBODY
    kid: str = thumbprint(NOBODY)

    def sign(self, claims: Any, **said: Any) -> Statement:
        envelope = Envelope(kind=KIND_OF[type(claims)], **said)
        payload = format_json({**write_record(envelope), **write_record(claims)})
        header = format_json({"alg": "Ed25519", "kid": self.kid, "typ": TYP})
        body = f"{b64u_encode(header.encode())}.{b64u_encode(payload.encode())}"
        return parse_statement(f"{body}.{b64u_encode(signature_by(NOBODY, body.encode()))}")


@asynccontextmanager
async def asked_by_nobody(folder: Path) -> AsyncIterator[tuple[Bench, Evidence, bytes]]:
    """A panel of 2 of 3, a deposit, the order that it be opened for that member, and the service's request."""
    async with with_panel(folder) as court:
        service: Any = court.service
        honest = service.route

        def route(request: web.Request, parts: list[str], body: bytes) -> web.Response:
            with unchecked():
                found: web.Response = honest(request, parts, body)
            return found

        service.route, court.world.law = route, gullible
        signers: Any = court.world.signers
        signers["nobody"] = Nobody()
        evidence = court.deposit(("a.txt", b"evidence"))
        with unchecked():
            notes = keys_of("nobody").card.notes
            court.world.do("registrar", MemberEnrol(key=NOBODY, notes=notes, role="party", name="nobody"))
            court.world.do("clerk", CaseParty(case_id=court.case_id, member=Nobody().kid, note=None))
            async with believing(court, "judge1", gullible) as presiding:
                ordered = await order(
                    presiding,
                    case_id=court.case_id,
                    deposits=[evidence.deposit_id],
                    recipients=[Nobody().kid],
                    paper=PAPER,
                )
            digest = ordered.statement.digest
            claims = ReleaseRequest(
                order=digest,
                deposit_id=evidence.deposit_id,
                panel_id=court.panel_id,
                request=services_request(court, evidence, digest),
                note=None,
            )
            asked = court.world.do("nobody", claims)
        yield court, evidence, asked.digest


def services_request(court: Bench, evidence: Evidence, ordered: bytes) -> bytes:
    """The 290 bytes, with the service's recipient key."""
    record: Any = panel_of(court).state.current
    ct_hash, sk = evidence.claims.capsules[0].ct_hash, secret("service")
    statement = request_statement(record.epoch_id, ct_hash, ordered, NOBODY, sk * G)
    body = bytes([VERSION, REQUEST_TYPE]) + record.epoch_id + ct_hash + ordered + NOBODY + bytes(sk * G)
    body += prove(statement, [sk], bytes(32))
    return body + signature_of_nobody(NOBODY, "request", body)


async def granted(court: Bench, judge: str, asked: bytes) -> None:
    async with believing(court, judge, gullible) as client:
        await Judge(client).grant(asked, PAPER)


async def test_no_contribution_is_made_for_a_key_in_whose_name_anybody_asks(tmp_path: Path) -> None:
    async with asked_by_nobody(tmp_path) as (court, evidence, asked):
        before = len(court.service.heard)
        # The statement that enrols him is refused; and were it read, his request would be.
        with pytest.raises(AppError) as caught:
            await granted(court, "judge2", asked)
        assert caught.value.code == "malformed_statement"
        assert "is of small or mixed order" in caught.value.message
        with unchecked(requests=False), pytest.raises(AppError) as caught:
            await granted(court, "judge2", asked)
        assert caught.value.code == "bad_requester_key"
        assert len(court.service.heard) == before
        # Judges whose clients look at no key give the evidence to the service.
        with unchecked():
            for judge in ("judge2", "judge3"):
                await granted(court, judge, asked)
        found = court.world.view.find(Request, asked.hex())
        assert found is not None
        given = [message for _, message in sorted(found.state.contributions)]
        key = open_capsule(found.state.release, given, sk=bytes(secret("service")), box=evidence.box)
        assert len(key) == 32
