"""Recovery holds the sum of the shares against the public one: the right share in any case, and no other."""

import pytest

from app.panels.ack import ack_body
from app.panels.certificate import join_certificate
from app.panels.closing import ClosedDeals, close_deals
from app.panels.errors import PanelError
from app.panels.group import G, dec_scalar
from app.panels.header import NO_EPOCH, Kind, make_header
from app.panels.making.ack import receive, recover
from app.panels.making.card import make_card
from app.panels.making.signature import signed
from app.panels.session import verify_session
from tests.app.panels.ceremony import Draw
from tests.app.panels.corrupt import corrupt_deal

HOSTS, HES = [bytes([i]) * 32 for i in (1, 2, 3)], [Draw(f"he {i}").scalar() for i in (1, 2, 3)]


def epoch(*spoilt: tuple[int, ...]) -> tuple[ClosedDeals, bytes]:
    """A certified epoch of 2 of 3; dealer i gave a wrong share to the receivers in `spoilt[i - 1]`: the first two
    dealers too much, and the third as much too little."""
    draw = Draw("recovery")
    panel_id = draw()
    cards = [
        make_card(panel_id=panel_id, epoch=1, host_seed=host, he=he, rnd=draw())
        for host, he in zip(HOSTS, HES, strict=True)
    ]
    header = make_header(
        kind=Kind.KEY_GENERATION,
        panel_id=panel_id,
        epoch=1,
        k=2,
        n=3,
        nonce=draw(),
        prev_epoch_id=NO_EPOCH,
        barred=[],
        cards=cards,
    )
    session = verify_session(header)
    deals = [
        corrupt_deal(session, i, host, spoilt=each, by=-1 if i == 3 else 1, name="recovery")
        for i, (host, each) in enumerate(zip(HOSTS, spoilt, strict=True), 1)
    ]
    closed = close_deals(session, deals)
    # The judges whose shares are bad are corrupt here, or they would not have acknowledged.
    bodies = [ack_body(j, session.session, closed.eta) for j in (1, 2, 3)]
    signatures = [signed(host, "ack", body)[-64:] for host, body in zip(HOSTS, bodies, strict=True)]
    return closed, join_certificate(session.session, closed.eta, signatures)


def test_the_share_of_good_deals_is_that_of_the_public_share() -> None:
    closed, certificate = epoch((), (), ())
    for j, he in enumerate(HES, 1):
        share = recover(closed, certificate, judge=j, he=he)
        assert share == receive(closed, judge=j, he=he)
        assert dec_scalar(share) * G == closed.record.shares[j - 1]


def test_a_bad_share_is_named_by_its_dealer() -> None:
    closed, certificate = epoch((), (1,), ())
    with pytest.raises(PanelError) as caught:
        recover(closed, certificate, judge=1, he=HES[0])
    assert (caught.value.code, caught.value.detail) == ("bad_share", 2)
    assert recover(closed, certificate, judge=2, he=HES[1])


def test_bad_shares_of_two_dealers_that_make_up_for_each_other_leave_the_share_good() -> None:
    """At visit 2 they are blamed; once the epoch is certified, what counts is that the sum is the share."""
    closed, certificate = epoch((), (1,), (1,))
    with pytest.raises(PanelError) as caught:
        receive(closed, judge=1, he=HES[0])
    assert (caught.value.code, caught.value.detail) == ("bad_share", 2)
    assert dec_scalar(recover(closed, certificate, judge=1, he=HES[0])) * G == closed.record.shares[0]


def test_another_he_and_another_judge_are_refused() -> None:
    closed, certificate = epoch((), (), ())
    for judge, he, code in ((1, HES[1], "he_mismatch"), (4, HES[0], "bad_index"), (1, bytes(32), "scalar_zero")):
        with pytest.raises(PanelError) as caught:
            recover(closed, certificate, judge=judge, he=he)
        assert caught.value.code == code
