"""Keys refused: a corrupt judge's card whose key is anybody's, admitted by a registry that does not look at keys.

`gullible` is the law of such a registry, and of a replay that believes it. The judge's own visit check must still stop
him before his deal leaves. Each lie has its twin, a client that looks at no key either, and what it gives away.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from app.client.home import Home, Vault
from app.client.judge import Judge
from app.client.judge_keys import JudgeVault
from app.client.registrar import approve, open_session, propose, roster
from app.errors import AppError
from app.panels import sigma
from app.panels.ack import ack_body
from app.panels.card import CARD_TYPE, card_statement
from app.panels.deal import share_of
from app.panels.group import IDENTITY, Element, G, Scalar, dec_elem, dec_scalar, lagrange0, scalar
from app.panels.hashing import u32
from app.panels.header import NO_EPOCH, Kind, make_header
from app.panels.making.proof import prove
from app.panels.making.signature import public_key, signed
from app.panels.session import Session as PanelSession
from app.panels.signing import signed_message
from app.panels.states import SessionStatus
from app.panels.wire import VERSION
from app.rules.act import Circumstances
from app.rules.decide import Admitted, Refusal, decide
from app.rules.view import View
from app.statements.kinds import PanelAck, PanelCard, PanelDeal, PanelOpen
from app.statements.statement import Statement
from tests.app.client.panel_service import JUDGES, Bench, bench, copy_of
from tests.app.client.test_betrayal import newest, panel_of
from tests.app.client.test_client_rules import believing, faults
from tests.app.client.world_service import keys_of
from tests.app.panels import edwards
from tests.app.panels.corrupt import corrupt_deal, secret
from tests.app.rules.world import seed

THREE = JUDGES[:3]
HOST = seed("corrupt host")
BAD_HOSTS = {
    "identity": bytes([1]) + bytes(31),
    "not canonical": (edwards.P + 1).to_bytes(32, "little"),
    "small order": edwards.encode(edwards.T8),
}
Sign = Callable[[str, bytes], bytes]


@contextmanager
def unchecked() -> Iterator[None]:
    """Code that looks at no key of a card: neither the host's, nor whether HE is the identity."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.panels.card.good_key", lambda _key, _error: None)
        patch.setattr("app.panels.card.check_proof", _unless_identity)
        patch.setattr("app.panels.wire.dec_elem", lambda each: IDENTITY if each == bytes(32) else dec_elem(each))
        yield


def _unless_identity(statement: sigma.Statement, proof: sigma.Proof, error: str) -> None:
    if statement.points[0] != IDENTITY:
        sigma.check_proof(statement, proof, error)


def gullible(view: View, statement: Statement, circumstances: Circumstances) -> Admitted | Refusal:
    """The law of a registry that looks at no key."""
    with unchecked():
        return decide(view, statement, circumstances)


def signature_of_nobody(key: bytes, tag: str, body: bytes) -> bytes:
    """`signature_by` over what a panel's message signs."""
    return signature_by(key, signed_message(tag, body))


def signature_by(key: bytes, message: bytes) -> bytes:
    """64 bytes that OpenSSL takes for a signature by a key of small order: R = s·B, where h·A is the identity."""
    for s in range(1, 1000):
        R = edwards.encode(edwards.multiply(s, edwards.B))
        h = int.from_bytes(hashlib.sha512(R + key + message).digest(), "little") % edwards.L
        if h % 8 == 0:
            return R + s.to_bytes(32, "little")
    raise AssertionError("no hash in a thousand is divisible by 8")


def bad_card(panel_id: bytes, host: bytes, he: Scalar, sign: Sign) -> bytes:
    """A card in the right form, whatever its keys are."""
    HE: Element = he * G
    proof = prove(card_statement(panel_id, 1, host, HE), [he], bytes(32))
    return sign("card", bytes([VERSION, CARD_TYPE]) + panel_id + u32(1) + host + bytes(HE) + proof)


@asynccontextmanager
async def opened(folder: Path, host: bytes, he: Scalar, sign: Sign, code: str) -> AsyncIterator[Bench]:
    """A session of three, whose third judge gave that card, on the approved roster. `code`: why an honest registrar
    opens none."""
    async with bench(folder) as court:
        async with court.client("registrar") as registrar:
            court.panel_id = (await propose(registrar, tuple(map(court.world.id, THREE)), 2)).panel_id
        for judge in THREE[:2]:
            assert await court.acts(judge) == ["panel.card"]
        card = bad_card(court.panel_id, host, he, sign)
        assert court.world.refused("judge3", PanelCard(card=card)) == code
        court.world.law = gullible
        court.world.do("judge3", PanelCard(card=card))
        async with believing(court, "registrar", gullible) as registrar:
            act = await roster(registrar, court.panel_id)
            for key in ("authority1", "authority2"):
                await approve(registrar, act.digest, seed(key))
            with pytest.raises(AppError) as caught:
                await open_session(registrar, court.panel_id)
            assert caught.value.code == code
        assert court.service.claims_heard("panel.open") == []
        with unchecked():
            court.world.do("registrar", PanelOpen(header=header_of(court)))
        yield court


def header_of(court: Bench) -> bytes:
    """The header that a registrar in league with the corrupt judge makes."""
    proposal = panel_of(court).proposal
    assert proposal is not None
    given = {each.judge: each.card for each in proposal.cards}
    return make_header(
        kind=Kind.KEY_GENERATION,
        panel_id=court.panel_id,
        epoch=1,
        k=2,
        n=3,
        nonce=seed("nonce"),
        prev_epoch_id=NO_EPOCH,
        barred=(),
        cards=[given[judge] for judge in proposal.judges],
    )


async def stopped(court: Bench, code: str) -> None:
    """Both honest judges stop by name, and nothing leaves their machines."""
    before = len(court.service.heard)
    for judge in THREE[:2]:
        assert await faults(court, judge, gullible) == [code]
    assert len(court.service.heard) == before
    assert newest(court).state.deals == ()


async def naive(court: Bench, judge: str) -> list[str]:
    """A visit of a judge whose client looks at no key."""
    with unchecked():
        async with believing(court, judge, gullible) as client:
            done = await Judge(client).act()
    assert [each.fault for each in done if each.fault is not None] == []
    return [each.said for each in done]


async def test_nothing_is_dealt_to_an_encryption_key_that_everybody_has(tmp_path: Path) -> None:
    """HE is the identity: the pads of that judge's shares are public. One corrupt judge more, of k = 2, has the key."""
    sign: Sign = lambda tag, body: signed(HOST, tag, body)  # noqa: E731
    async with opened(tmp_path, public_key(HOST), scalar(0), sign, "elem_identity") as court:
        await stopped(court, "elem_identity")
        for judge in THREE[:2]:
            assert await naive(court, judge) == ["panel.deal"]
        session: PanelSession = newest(court).state.session
        court.world.do("judge3", PanelDeal(deal=corrupt_deal(session, 3, HOST)))
        state = newest(court).state
        assert state.record is not None
        mine = JudgeVault(Vault(Home(court.homes / "judge1"), keys_of("judge1")))
        keys = mine.host_of(session.header.cards[0].encoded)
        assert keys is not None
        key = scalar(0)
        for deal in state.closed_deals:
            his = share_of(session, deal, 1, dec_scalar(keys.he) * deal.P)
            everybodys = share_of(session, deal, 3, IDENTITY)
            assert his is not None
            assert everybodys is not None
            key = key + lagrange0([1, 3], 1) * his + lagrange0([1, 3], 3) * everybodys
        assert key * G == state.record.Y


@pytest.mark.parametrize("host", BAD_HOSTS.values(), ids=BAD_HOSTS.keys())
async def test_no_ceremony_is_held_with_a_host_key_in_whose_name_anybody_signs(tmp_path: Path, host: bytes) -> None:
    """The service makes that judge's deal and acknowledgment without any key, and so has the panel certified: two
    judges checked their shares, where the certificate says three, and no double deal is proof against the third."""
    sign: Sign = lambda tag, body: body + signature_of_nobody(host, tag, body)  # noqa: E731
    async with opened(tmp_path, host, secret("he"), sign, "bad_host_key") as court:
        await stopped(court, "bad_host_key")
        for judge in THREE[:2]:
            assert await naive(court, judge) == ["panel.deal"]
        session: PanelSession = newest(court).state.session
        for name, world in (("another", copy_of(court.world)), ("one", court.world)):  # whichever it likes
            world.do("judge3", PanelDeal(deal=sign("deal", corrupt_deal(session, 3, HOST, name=name)[:-64])))
        for judge in THREE[:2]:
            assert await naive(court, judge) == ["panel.ack"]
        record = newest(court).state.record
        assert record is not None
        court.world.do("judge3", PanelAck(ack=sign("ack", ack_body(3, session.session, record.eta))))
        assert newest(court).state.status is SessionStatus.CERTIFIED
