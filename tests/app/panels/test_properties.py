"""Laws of the panel: any k of n open, k − 1 do not; a reshare keeps the key; only named errors; round trips."""

import contextlib
import itertools
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import BadInput
from app.panels import admission, admission_release
from app.panels.ack import verify_ack
from app.panels.blame import parse_blame, verify_blame
from app.panels.capsule import admit, check_public, public_part, unbox
from app.panels.card import parse_card, verify_card
from app.panels.certificate import make_certificate, verify_certificate
from app.panels.chain import verify_chain
from app.panels.closing import ClosedDeals, close_deals
from app.panels.contribution import aggregate, verify_contribution
from app.panels.deal import verify_deal
from app.panels.errors import PanelError
from app.panels.group import (
    IDENTITY,
    G,
    L,
    Scalar,
    dec_elem,
    dec_scalar,
    evaluate,
    evaluate_first,
    lagrange0,
    scalar,
    sum_at_0,
    times,
)
from app.panels.header import parse_header, verify_header
from app.panels.making.blame import make_blame
from app.panels.making.opening import make_opening, open_capsule
from app.panels.opening import Verdict, verify_opening
from app.panels.record import make_record, parse_record
from app.panels.release_states import CapsuleState, RequestState
from app.panels.request import parse_request, verify_request
from app.panels.session import Session, verify_session
from app.panels.states import PanelState, SessionState, SessionStatus
from tests.app.panels import ceremony

sizes = st.integers(2, 4).flatmap(lambda n: st.tuples(st.integers(2, n), st.just(n)))


@cache
def _panel(k: int, n: int) -> ceremony.Panel:
    return ceremony.generate(ceremony.Draw(f"properties {k} of {n}"), k, n)


@given(size=sizes, data=st.data())
@settings(max_examples=25)
def test_any_k_of_n_open_and_everyone_can_check_the_opening(size: tuple[int, int], data: st.DataObject) -> None:
    k, n = size
    panel = _panel(k, n)
    made = ceremony.deposit(panel)
    asked = ceremony.ask(panel, made)
    chosen = sorted(data.draw(st.sets(st.integers(1, n), min_size=k, max_size=k)))
    given_parts = ceremony.contributions(panel, asked, chosen)
    assert open_capsule(asked.release, given_parts, sk=asked.sk, box=made.box) == made.file_key
    opening = make_opening(asked.release, given_parts, sk=asked.sk, rnd=panel.draw())
    opened = verify_opening(asked.release, given_parts, opening, made.box)
    assert (opened.verdict, opened.file_key) == (Verdict.FILE_KEY, made.file_key)


@given(size=sizes, data=st.data())
@settings(max_examples=15)
def test_k_minus_1_cannot_open(size: tuple[int, int], data: st.DataObject) -> None:
    k, n = size
    panel = _panel(k, n)
    made = ceremony.deposit(panel)
    asked = ceremony.ask(panel, made)
    chosen = sorted(data.draw(st.sets(st.integers(1, n), min_size=k - 1, max_size=k - 1)))
    parts = ceremony.contributions(panel, asked, chosen)
    with pytest.raises(PanelError, match="fewer than k") as caught:
        open_capsule(asked.release, parts, sk=asked.sk, box=made.box)
    assert caught.value.code == "below_threshold"
    # And by no way around the check: what k − 1 interpolate to does not open the box, nor does any one share.
    verified = [verify_contribution(asked.release, part) for part in parts]
    secret = dec_scalar(asked.sk)
    K = IDENTITY
    for part in verified:
        alone = part.E - secret * part.R
        assert unbox(asked.release.public, alone, made.box) is None
        K = K + lagrange0(chosen, part.index) * alone
    assert unbox(asked.release.public, K, made.box) is None


@given(old=sizes, new=sizes, data=st.data())
@settings(max_examples=12)
def test_a_reshare_keeps_the_joint_key_and_opens_old_capsules(
    old: tuple[int, int], new: tuple[int, int], data: st.DataObject
) -> None:
    before = _panel(*old)
    made = ceremony.deposit(before)
    dealers = sorted(data.draw(st.sets(st.integers(1, old[1]), min_size=old[0], max_size=old[0])))
    after = ceremony.reshare(before, *new, dealers)
    assert after.Y == before.Y
    assert after.record.epoch_id != before.record.epoch_id
    assert verify_chain(after.links, after.approved) == after.record
    asked = ceremony.ask(after, made)
    chosen = sorted(data.draw(st.sets(st.integers(1, new[1]), min_size=new[0], max_size=new[0])))
    parts = ceremony.contributions(after, asked, chosen)
    assert open_capsule(asked.release, parts, sk=asked.sk, box=made.box) == made.file_key
    # A share of the old epoch proves nothing in the new one.
    with pytest.raises(PanelError) as caught:
        verify_contribution(asked.release, ceremony.contributions(before, ceremony.ask(before, made), [1])[0])
    assert caught.value.code == "contribution_proof"


# ---- parsers and verifiers: named errors only, one form, no flipped byte ------------------------------------------


@cache
def _session() -> Session:
    return verify_session(_panel(2, 3).links[0].header)


@cache
def _closed() -> ClosedDeals:
    return close_deals(_session(), _panel(2, 3).links[0].deals)


@cache
def _deposit() -> ceremony.Deposit:
    return ceremony.deposit(_panel(2, 3))


@cache
def _asked() -> ceremony.Asked:
    return ceremony.ask(_panel(2, 3), _deposit())


@cache
def _parts() -> tuple[bytes, ...]:
    return tuple(ceremony.contributions(_panel(2, 3), _asked(), [1, 3]))


@cache
def _readers() -> dict[str, tuple[bytes, Callable[[bytes], Any]]]:
    """For each message: a valid one, and what verifies it in its place."""
    panel, asked, made = _panel(2, 3), _asked(), _deposit()
    link, session, closed = panel.links[0], _session(), _closed()
    parts = _parts()
    opening = make_opening(asked.release, parts, sk=asked.sk, rnd=panel.draw())
    return {
        "card": (link.header[109:339], lambda b: verify_card(b, panel.panel_id, 1)),
        "header": (link.header, verify_header),
        "record": (panel.record.encoded, parse_record),
        "deal": (link.deals[0], lambda b: verify_deal(session, b)),
        "ack": (panel.acks[0], lambda b: verify_ack(session, closed.eta, b)),
        "certificate": (link.certificate, lambda b: verify_certificate(closed, b)),
        "public": (made.public, lambda b: check_public(panel.Y, made.label, b)),
        "box": (made.box, lambda b: admit(panel.Y, made.label, made.public, b)),
        "request": (asked.encoded, lambda b: verify_request(b, panel.record.epoch_id, made.ct_hash)),
        "contribution": (parts[0], lambda b: verify_contribution(asked.release, b)),
        "opening": (opening, lambda b: verify_opening(asked.release, parts, b, made.box)),
    }


_NAMES = (
    "card", "header", "record", "deal", "ack", "certificate", "public", "box", "request", "contribution", "opening",
)  # fmt: skip
_UNTYPED: dict[str, Callable[[bytes], Any]] = {
    "elem": dec_elem,
    "scalar": dec_scalar,
    "blame": parse_blame,
    "upheld blame": lambda b: verify_blame(_session(), _closed().deals, b),
    "ciphertext": public_part,
    "untrusted card": parse_card,
    "untrusted header": parse_header,
    "untrusted request": parse_request,
}


def _only_named(read: Callable[[bytes], Any], data: bytes) -> None:
    with contextlib.suppress(PanelError):
        read(data)


@pytest.mark.parametrize("name", _NAMES)
def test_what_the_makers_make_is_accepted(name: str) -> None:
    valid, read = _readers()[name]
    read(valid)


@pytest.mark.parametrize("name", [*_NAMES, *_UNTYPED])
@given(data=st.data())
@settings(max_examples=60)
def test_arbitrary_bytes_give_only_named_errors(name: str, data: st.DataObject) -> None:
    if name in _UNTYPED:
        read = _UNTYPED[name]
        noise = data.draw(st.one_of(st.binary(max_size=300), st.binary(min_size=32, max_size=32)))
    else:
        valid, read = _readers()[name]
        noise = data.draw(st.one_of(st.binary(max_size=300), st.binary(min_size=len(valid), max_size=len(valid))))
        if data.draw(st.booleans()):  # past version and type
            noise = valid[:2] + noise[2:]
    _only_named(read, noise)


@pytest.mark.parametrize("name", _NAMES)
@given(data=st.data())
@settings(max_examples=60)
def test_one_flipped_bit_is_refused_by_name(name: str, data: st.DataObject) -> None:
    valid, read = _readers()[name]
    place = data.draw(st.integers(0, 8 * len(valid) - 1))
    flipped = bytearray(valid)
    flipped[place // 8] ^= 1 << place % 8
    try:
        read(bytes(flipped))
    except PanelError:
        return
    # Only these stand for themselves: a record proves nothing, and a header's k and nonce make another session.
    assert name in ("record", "header")
    if name == "header":
        assert 39 <= place // 8 < 41 or 43 <= place // 8 < 75
        assert verify_header(bytes(flipped)).session != _session().session
    else:
        assert parse_record(bytes(flipped)).epoch_id != _panel(2, 3).record.epoch_id


@pytest.mark.parametrize("name", _NAMES)
@given(data=st.data())
@settings(max_examples=20)
def test_a_shorter_or_longer_message_is_refused(name: str, data: st.DataObject) -> None:
    valid, read = _readers()[name]
    cut = data.draw(st.one_of(st.integers(0, len(valid) - 1).map(lambda n: valid[:n]), st.just(valid + b"\0")))
    with pytest.raises(PanelError) as caught:
        read(cut)
    assert caught.value.code in ("bad_length", "bad_version", "bad_type", "bad_params")


def test_a_record_read_and_written_again_is_the_same() -> None:
    record = _panel(2, 3).record
    again = make_record(
        panel_id=record.panel_id,
        epoch=record.epoch,
        k=record.k,
        session=record.session,
        eta=record.eta,
        Y=record.Y,
        shares=record.shares,
    )
    assert parse_record(record.encoded) == record == again


def test_contributions_verify_under_no_other_order_or_number() -> None:
    release, parts = _asked().release, list(_parts())
    for wrong, code in ((parts[::-1], "index_order"), ([parts[0]] * 2, "duplicate_index"), (parts + parts, "too_many")):
        with pytest.raises(PanelError) as caught:
            aggregate(release, wrong)
        assert caught.value.code == code


# ---- arithmetic --------------------------------------------------------------------------------------------------

numbers = st.integers(0, L - 1)


@given(a=numbers, b=numbers)
def test_scalars_are_integers_modulo_the_order(a: int, b: int) -> None:
    def number(value: Scalar) -> int:
        return int.from_bytes(bytes(value), "little")

    assert number(scalar(a) + scalar(b)) == (a + b) % L
    assert number(scalar(a) - scalar(b)) == (a - b) % L
    assert number(scalar(a) * scalar(b)) == a * b % L


@given(a=numbers, b=numbers)
@settings(max_examples=30)
def test_elements_are_a_group_that_scalars_act_on(a: int, b: int) -> None:
    A, B = scalar(a) * G, scalar(b) * G
    assert A + B == B + A == scalar(a + b) * G
    assert (A + B) - B == A
    assert A - A == IDENTITY == scalar(0) * A
    assert scalar(a) * B == scalar(b) * A


@given(coefficients=st.lists(st.integers(0, L - 1), min_size=1, max_size=6), n=st.integers(1, 9))
@settings(max_examples=30)
def test_differences_give_the_same_values_as_horner(coefficients: list[int], n: int) -> None:
    commitments = [scalar(a) * G for a in coefficients]
    values = [scalar(sum(a * j**t for t, a in enumerate(coefficients))) * G for j in range(1, n + 1)]
    assert evaluate_first(commitments, n) == values == [evaluate(commitments, j) for j in range(1, n + 1)]


@given(number=st.one_of(st.integers(-3, 300), st.integers(0, 2 * L)), a=st.integers(0, L - 1))
def test_public_multiples_by_additions_are_the_same(number: int, a: int) -> None:
    assert times(number, scalar(a) * G) == scalar(number * a) * G


@given(st.sets(st.integers(1, 40), min_size=1, max_size=8), st.data())
def test_the_sum_at_0_is_that_of_the_weights(indices: set[int], data: st.DataObject) -> None:
    chosen = sorted(indices)
    values = [data.draw(st.integers(0, L - 1)) for _ in chosen]
    expected = sum(
        int.from_bytes(bytes(lagrange0(chosen, i)), "little") * v for i, v in zip(chosen, values, strict=True)
    )
    assert sum_at_0(chosen, [scalar(v) * G for v in values]) == scalar(expected) * G


# ---- the ledger's states ------------------------------------------------------------------------------------------


def _run(panel: ceremony.Panel, order: tuple[int, ...]) -> tuple[list[PanelState], list[SessionState]]:
    """Every state on the way to a certificate, with deals and acks in the given order."""
    link = panel.links[0]
    state = admission.approve_roster(admission.new_panel(panel.panel_id), 1, panel.approved[0])
    moved = admission.open_session(state, link.header)
    panels, sessions = [state, moved.panel], [moved.session]
    for i in order:
        sessions.append(admission.deal(sessions[-1], link.deals[i - 1]))
    for i in order:
        done = admission.ack(panels[-1], sessions[-1], panel.acks[i - 1])
        panels.append(done.panel)
        sessions.append(done.session)
    return panels, sessions


def _same_again(state: Any) -> bool:
    return type(state).from_json(json.loads(json.dumps(state.to_json()))) == state


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_deals_and_acks_in_any_order_certify_the_same_epoch(order: tuple[int, ...]) -> None:
    panel = _panel(2, 3)
    panels, sessions = _run(panel, order)
    assert [session.status for session in sessions] == [SessionStatus.OPEN] * 3 + [SessionStatus.DEALT] * 3 + [
        SessionStatus.CERTIFIED
    ]
    assert panels[-1].current == panel.record
    assert panels[-1].epochs[-1].certificate == panel.links[0].certificate
    assert all(_same_again(state) for state in (*panels, *sessions))


def test_a_release_from_request_to_public_opening_keeps_its_states_through_json() -> None:
    panel = _panel(2, 3)
    ledger = _run(panel, (1, 2, 3))[0][-1]
    made = ceremony.deposit(panel)
    asked = ceremony.ask(panel, made)
    names = {"deposit_id": made.deposit_id, "case_id": made.case_id, "manifest_hash": made.manifest_hash}
    capsule, request = admission_release.request(ledger, None, **names, public=made.public, request=asked.encoded)
    assert not request.released
    parts = ceremony.contributions(panel, asked, [2, 3])
    for part in parts:
        assert _same_again(request)
        request = admission_release.contribution(ledger, request, part)
    assert request.released
    second = ceremony.ask(panel, made)
    with pytest.raises(PanelError) as caught:
        admission_release.request(ledger, capsule, **names, public=made.public, request=second.encoded)
    assert caught.value.code == "request_open"
    opening = make_opening(asked.release, parts, sk=asked.sk, rnd=panel.draw())
    published = admission_release.opening(capsule, request, [2, 3], opening, made.box)
    assert published.opened.file_key == made.file_key
    assert published.capsule.open_request is None
    assert _same_again(published.capsule)
    assert _same_again(published.request)
    assert made.file_key.hex() not in json.dumps([published.capsule.to_json(), published.request.to_json()])
    again = admission_release.request(ledger, published.capsule, **names, public=made.public, request=second.encoded)
    assert again.capsule.requests == (request.req_hash, again.request.req_hash)


def _stored() -> list[tuple[Any, dict[str, Any]]]:
    panels, sessions = _run(_panel(2, 3), (2, 3, 1))
    release = RequestState(release=_asked().release, contributions=((1, _parts()[0]),))
    capsule = CapsuleState(ct_hash=bytes(32), requests=(bytes(32),), open_request=(bytes(32), bytes(32)))
    states: list[Any] = [panels[-1], sessions[-1], release, capsule]
    return [(type(state), state.to_json()) for state in states]


@given(data=st.data())
@settings(max_examples=80)
def test_a_stored_state_that_was_altered_is_bad_input_or_another_state(data: st.DataObject) -> None:
    kind, stored = data.draw(st.sampled_from(_stored()))
    key = data.draw(st.sampled_from(sorted(stored)))
    kinds = st.one_of(st.none(), st.booleans(), st.integers(-1, 3), st.floats(), st.text(max_size=70), st.just([[]]))
    altered = (
        {**stored, key: data.draw(kinds)} if data.draw(st.booleans()) else {k: stored[k] for k in stored if k != key}
    )
    with contextlib.suppress(BadInput):
        assert kind.from_json(altered).to_json() == altered


def test_capital_hex_and_numbers_in_place_of_truth_are_refused() -> None:
    panel = _run(_panel(2, 3), (1, 2, 3))[0][-1].to_json()
    capitals = {**panel, "panel_id": panel["panel_id"].upper()}
    truth = {**panel, "sessions": [{**panel["sessions"][0], "live": False}]}
    for altered in (capitals, truth):
        with pytest.raises(BadInput):
            PanelState.from_json(altered)


def test_a_certificate_needs_every_judge() -> None:
    with pytest.raises(PanelError) as caught:
        make_certificate(_closed(), _panel(2, 3).acks[:2])
    assert caught.value.code == "ack_count"


# ---- limits that the threat model states --------------------------------------------------------------------------


def test_contributions_add_up_across_requests_for_one_capsule() -> None:
    """Two recipients who collude open with one judge each, though no request reached k = 2: hence one open request."""
    panel = _panel(2, 3)
    made = ceremony.deposit(panel)
    K, indices = IDENTITY, [1, 3]
    for index in indices:
        asked = ceremony.ask(panel, made)
        part = verify_contribution(asked.release, ceremony.contributions(panel, asked, [index])[0])
        K = K + lagrange0(indices, index) * (part.E - dec_scalar(asked.sk) * part.R)
    assert unbox(check_public(panel.Y, made.label, made.public), K, made.box) == made.file_key


def test_a_judge_blames_with_a_good_deal_in_vain() -> None:
    """`make_blame` runs the check of whoever receives it, so a good share never leaves in a blame."""
    panel = _panel(2, 3)
    judge = panel.judges[1]
    with pytest.raises(PanelError) as caught:
        make_blame(_closed(), dealer=1, judge=2, he=judge.he, host_seed=judge.host_seed, rnd=panel.draw(), upheld=())
    assert caught.value.code == "blame_unfounded"
