"""The release record: what it shows when it is whole, and how each thing that is altered or left out is found."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.canonical import format_json, parse_json
from app.client.record import Recorded, make_record
from app.errors import BadInput, Refused
from app.statements.prooffile import Proven
from app.statements.recordfile import (
    FORMAT,
    MAX_LEAVES,
    MAX_RECORD_BYTES,
    RecordFile,
    format_record_file,
    parse_record_file,
)
from app.statements.statement import parse_leaf
from app.verify.record import check_record
from app.verify.recordverdict import RecordVerdict
from app.verify.verdict import Outcome
from ledger.proof import Proof
from tests.app.client.world_service import trust_of
from tests.app.verify.records import (
    Story,
    begun,
    early_grant,
    erased_beside,
    recused_judge,
    revoked_judge,
    state_of,
    told,
)


@cache
def whole() -> Story:
    return told()


@cache
def record() -> RecordFile:
    return whole().record()


def checked(file: RecordFile, story: Story | None = None) -> RecordVerdict:
    return check_record(format_record_file(file), (story or whole()).trust)


def refused(file: RecordFile, story: Story | None = None) -> tuple[int, str]:
    """The check that fails, and its code; it must not verify."""
    verdict = checked(file, story)
    assert verdict.outcome is Outcome.MISMATCH, verdict
    assert verdict.failed is not None
    assert verdict.failed.detail
    return verdict.failed.number, verdict.failed.code


# The honest one


def test_a_whole_record_says_who_asked_who_decided_what_and_when() -> None:
    story, verdict = whole(), checked(record())
    assert verdict.outcome is Outcome.VERIFIED, verdict.failed
    assert [each.passed for each in verdict.checks] == [True] * 6
    assert (verdict.recipient, verdict.status, verdict.k) == ("lawyer2", "opened", 2)
    assert verdict.document == story.said["order"].claims.document.hex()  # type: ignore[union-attr]
    assert verdict.notified == ("clerk", "judge1", "judge2", "judge3", "lawyer1", "lawyer2")
    assert [(each.who, each.says.split(",")[0]) for each in verdict.events] == [
        ("judge1", "orders it opened"),
        ("lawyer2", "asks"),
        ("lawyer1", "objects"),
        ("judge2", "refuses"),
        ("judge1", "grants"),
        ("judge1", "contributes"),
        ("judge3", "grants"),
        ("judge3", "contributes"),
        ("the service", "serves the recipient"),
        ("lawyer2", "opened it"),
    ]
    assert verdict.items == ("equal", "undeclared")
    times = {
        each.index: parse_leaf(entry.leaf).time
        for each in verdict.events
        for entry in story.world.entries[each.index :][:1]
    }
    assert {each.index: each.time for each in verdict.events} == times
    # The stretch ends with the opening; one private entry in it is of another case.
    assert (verdict.start, verdict.end) == (story.index("request"), story.index("opening") + 1)
    assert (verdict.hidden, verdict.unrelated, verdict.earlier) == (1, 0, 1)
    assert verdict.to_json()["exit_code"] == 0


def test_a_record_of_a_request_that_waits_reaches_to_the_end_of_the_ledger() -> None:
    story = begun()
    verdict = checked(story.record(), story)
    assert (verdict.outcome, verdict.status) == (Outcome.VERIFIED, "waits")
    assert verdict.end == len(story.world.entries)


def test_a_record_of_a_withdrawn_request_shows_the_contribution_that_came_for_it() -> None:
    verdict = checked(whole().record("first"))
    assert (verdict.outcome, verdict.status) == (Outcome.VERIFIED, "withdrawn")
    assert [each.says for each in verdict.events][-3:] == ["grants", "contributes", "withdraws"]
    assert checked(record()).earlier == 1


def test_every_reader_writes_the_same_record_and_a_stranger_none() -> None:
    story = whole()
    made = {make.data for make in (story.make(), story.make())}
    assert len(made) == 1
    with pytest.raises(Refused) as caught:
        Story(story.release, {"request": story.said["order"]}).make()
    assert caught.value.code == "unknown_request"
    with pytest.raises(BadInput) as bad:
        story.make(replace(story.trust, origin="another.example/court"))
    assert bad.value.code == "other_ledger"


def test_a_deposit_of_the_same_order_that_was_erased_takes_nothing_from_the_record() -> None:
    story, state = erased_beside()
    data = make_record(state, story.said["request"].digest, story.trust).data
    verdict = check_record(data, story.trust)
    assert (verdict.outcome, verdict.status) == (Outcome.VERIFIED, "opened"), verdict.failed
    kept = parse_record_file(data)
    without = replace(kept, entries=kept.entries[:-1])
    assert refused(without, story) == (3, "replay_refused"), "an erasure that m keys did not approve explains nothing"


# What somebody leaves out or alters, for a profit that the record must not give


def test_an_adversary_drops_a_decision_that_a_contribution_rests_on() -> None:
    assert refused(whole().without(record(), "grant judge3")) == (3, "replay_refused")


def test_an_adversary_drops_the_order() -> None:
    assert refused(whole().without(record(), "order"))[0] == 3


def test_an_adversary_drops_a_contribution_that_the_release_rests_on() -> None:
    assert refused(whole().without(record(), "contribution judge1")) == (3, "replay_refused")


def test_an_adversary_drops_the_request() -> None:
    assert refused(whole().without(record(), "request"))[0] == 3


def test_an_adversary_drops_the_withdrawal_of_an_earlier_request() -> None:
    assert refused(whole().without(record(), "withdrawal")) == (3, "replay_refused")


@pytest.mark.parametrize("name", ["refusal", "objection"])
def test_a_dropped_refusal_or_objection_stays_as_a_private_entry_that_is_not_shown(name: str) -> None:
    """The position range shows that something private stands there, and the verdict says what that may be."""
    verdict = checked(whole().without(record(), name))
    assert verdict.outcome is Outcome.VERIFIED
    assert verdict.hidden == checked(record()).hidden + 1
    assert "not shown are 2 private ones" in verdict.checks[-1].detail
    assert any("a refusal, an objection" in each for each in verdict.to_json()["cannot_show"])  # type: ignore[attr-defined]


def test_an_adversary_cuts_the_leaf_of_what_he_drops_out_of_the_stretch() -> None:
    dropped = whole().without(record(), "refusal")
    at = whole().index("refusal") - dropped.start
    leaves = (*dropped.leaves[:at], *dropped.leaves[at + 1 :])
    assert refused(replace(dropped, leaves=leaves)) == (6, "bad_proof")


def test_an_adversary_ends_the_stretch_before_the_last_act() -> None:
    file = record()
    assert refused(replace(file, leaves=file.leaves[:-1]))[0] == 6
    other = whole().without(file, "opening")
    cut = replace(other, leaves=file.leaves[:-1])
    assert refused(cut)[0] == 6, "the hashes are of another stretch"


def test_an_adversary_proves_a_stretch_that_ends_before_an_act_that_he_shows() -> None:
    story, file = whole(), record()
    end = file.start + len(file.leaves) - 1
    hashes = state_of(story.world).leaves.stretch(file.start, end, len(story.world.entries))
    shorter = replace(file, leaves=file.leaves[:-1], hashes=hashes)
    assert refused(shorter) == (6, "wrong_stretch")
    # Without that act it is a record as of an earlier time: it holds, and says where it ends.
    earlier = checked(story.without(shorter, "opening"))
    assert (earlier.outcome, earlier.status, earlier.end) == (Outcome.VERIFIED, "released", end)
    assert any("after the last entry" in each for each in earlier.to_json()["cannot_show"])  # type: ignore[attr-defined]


def test_an_adversary_begins_the_stretch_later_or_earlier() -> None:
    file = record()
    assert refused(replace(file, start=file.start + 1, leaves=file.leaves[1:])) == (6, "wrong_stretch")
    assert refused(replace(file, start=file.start - 1)) == (6, "wrong_stretch")


def test_an_adversary_shows_a_contribution_of_a_recused_judge() -> None:
    story = recused_judge()
    assert refused(story.record(), story) == (3, "replay_refused")
    # Without the recusal it would be a release: that is why a private entry that is not shown is counted.
    hidden = checked(story.without(story.record(), "recusal"), story)
    assert (hidden.outcome, hidden.hidden) == (Outcome.VERIFIED, 2)


def test_an_adversary_shows_a_grant_from_within_the_notice() -> None:
    story = early_grant()
    assert refused(story.record(), story) == (3, "replay_refused")


def test_an_adversary_withholds_that_a_judge_was_revoked() -> None:
    story = revoked_judge()
    twin = checked(story.record(), story)
    assert (twin.outcome, twin.hidden) == (Outcome.VERIFIED, 1)
    withheld = story.without(story.record(), "revocation", "authority1", "authority2")
    assert refused(withheld, story) == (6, "statement_withheld")


def test_an_adversary_passes_off_another_request() -> None:
    story, file = whole(), record()
    assert refused(replace(file, request=story.said["order"].digest)) == (4, "unknown_request")
    assert refused(replace(file, request=bytes(32))) == (4, "unknown_request")
    assert refused(replace(file, request=story.said["first"].digest)) == (6, "wrong_stretch")


def at(file: RecordFile, story: Story, name: str) -> int:
    return next(i for i, each in enumerate(file.entries) if each.statement == story.said[name].text)


def with_entry(file: RecordFile, number: int, entry: Proven) -> RecordFile:
    return replace(file, entries=(*file.entries[:number], entry, *file.entries[number + 1 :]))


def test_an_adversary_alters_a_time() -> None:
    story, file = whole(), record()
    number = at(file, story, "refusal")
    entry = file.entries[number]
    time = str(parse_leaf(entry.leaf).time)
    other = replace(entry, leaf=entry.leaf.replace(time, str(int(time) - 86_400)))
    assert refused(with_entry(file, number, other)) == (2, "bad_proof")
    leaf = next(i for i, text in enumerate(file.leaves) if text == entry.leaf)
    leaves = (*file.leaves[:leaf], other.leaf, *file.leaves[leaf + 1 :])
    assert refused(replace(file, leaves=leaves)) == (6, "bad_proof")


def test_an_adversary_swaps_leaves_places_or_entries() -> None:
    story, file = whole(), record()
    one, two = at(file, story, "grant judge1"), at(file, story, "grant judge3")
    first, second = file.entries[one], file.entries[two]
    assert refused(with_entry(file, one, replace(first, leaf=second.leaf))) == (2, "leaf_mismatch")
    assert refused(with_entry(file, one, replace(first, tlog_proof=second.tlog_proof))) == (2, "bad_proof")
    swapped = with_entry(with_entry(file, one, second), two, first)
    assert refused(swapped) == (2, "out_of_order")
    twice = replace(file, entries=(*file.entries[: one + 1], *file.entries[one:]))
    assert refused(twice) == (2, "out_of_order")


def test_an_adversary_mixes_two_checkpoints_of_one_ledger() -> None:
    """Each is good; together they would hide what came between."""
    story, file = whole(), record()
    older = parse_record_file(
        make_at(story, len(story.world.entries) - 1).data  # one entry less, the same release
    )
    number = at(file, story, "refusal")
    assert refused(with_entry(file, number, older.entries[number])) == (2, "mixed_checkpoints")


def make_at(story: Story, size: int) -> Recorded:
    return make_record(state_of(story.world, size), story.said["request"].digest, story.trust)


def test_an_adversary_forges_a_signature_or_shows_a_genesis_of_his_own() -> None:
    story, file = whole(), record()
    number = at(file, story, "refusal")
    head, _, signature = file.entries[number].statement.rpartition(".")
    forged = head + "." + ("A" if signature[0] != "A" else "B") + signature[1:]
    assert refused(with_entry(file, number, replace(file.entries[number], statement=forged))) == (2, "leaf_mismatch")
    assert refused(replace(file, entries=file.entries[1:])) == (3, "replay_refused")


def test_a_trust_file_of_another_registry_cannot_tell() -> None:
    data = format_record_file(record())
    stranger = replace(whole().trust, origin="another.example/court")
    verdict = check_record(data, stranger)
    assert (verdict.outcome, verdict.failed.code if verdict.failed else "") == (Outcome.UNKNOWN, "other_ledger")


def test_a_quorum_that_is_not_met_cannot_tell() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ledger.cosignature import Ed25519Cosigner
    from tests.app.rules.world import seed

    witness = Ed25519Cosigner("witness.example", Ed25519PrivateKey.from_private_bytes(seed("witness")))
    demanding = trust_of(whole().world, more=f"witness w1 {witness.key.text}\n", quorum="w1")
    verdict = check_record(format_record_file(record()), demanding)
    assert (verdict.outcome, verdict.failed.code if verdict.failed else "") == (Outcome.UNKNOWN, "quorum_missing")


# The form


def test_the_file_is_its_own_canonical_form() -> None:
    data = format_record_file(record())
    assert format_record_file(parse_record_file(data)) == data
    for other in (data + b"\n", b" " + data, data.replace(b'"start":', b'"start": ')):
        assert check_record(other, whole().trust).failed is not None


@dataclass(frozen=True)
class Bad:
    """How a record is spoilt, and the refusal."""

    spoil: Callable[[dict[str, object]], object]
    code: str


BAD = {
    "another format": Bad(lambda value: {**value, "format": "muniment-release-record/v2"}, "not_a_record"),
    "no object": Bad(lambda _: [], "not_a_record"),
    "a key more": Bad(lambda value: {**value, "more": 1}, "wrong_keys"),
    "no entry": Bad(lambda value: {**value, "entries": []}, "wrong_length"),
    "no leaf": Bad(lambda value: {**value, "leaves": []}, "wrong_length"),
    "too many hashes": Bad(lambda value: {**value, "hashes": ["00" * 32] * 127}, "wrong_length"),
    "a short hash": Bad(lambda value: {**value, "hashes": ["00"]}, "wrong_length"),
    "a start below nothing": Bad(lambda value: {**value, "start": -1}, "integer_out_of_range"),
    "a start that is a text": Bad(lambda value: {**value, "start": "1"}, "wrong_type"),
    "upper case hex": Bad(lambda value: {**value, "request": "AA" * 32}, "not_hex"),
    "a huge leaf": Bad(lambda value: {**value, "leaves": ["x" * 513]}, "wrong_length"),
    "an entry without its proof": Bad(
        lambda value: {**value, "entries": [{"statement": "a", "leaf": "b"}]}, "wrong_keys"
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_hostile_form_is_refused_by_name(name: str) -> None:
    value = parse_json(format_record_file(record()), what="it", max_bytes=MAX_RECORD_BYTES)
    assert isinstance(value, dict)
    with pytest.raises(BadInput) as caught:
        parse_record_file(format_json(BAD[name].spoil(value)).encode())
    assert caught.value.code == BAD[name].code


def test_a_record_of_more_entries_than_a_reader_takes_is_refused_before_it_is_read() -> None:
    assert MAX_LEAVES == 200_000
    with pytest.raises(BadInput) as caught:
        parse_record_file(b"[" * (MAX_RECORD_BYTES + 1))
    assert caught.value.code == "too_large"


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_only_the_rooms_errors(data: bytes) -> None:
    verdict = check_record(data, whole().trust)
    assert verdict.outcome is Outcome.MISMATCH


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8), lambda x: st.lists(x, max_size=3)
)


@given(st.sampled_from(["request", "entries", "start", "leaves", "hashes"]), JSON)
def test_any_value_in_any_place_is_read_or_refused(name: str, value: object) -> None:
    base: dict[str, object] = {
        "format": FORMAT,
        "request": "00" * 32,
        "entries": [{"statement": "a", "leaf": "b", "tlog_proof": "c"}],
        "start": 0,
        "leaves": ["x"],
        "hashes": [],
    }
    try:
        data = format_json({**base, name: value}).encode()
        assert format_record_file(parse_record_file(data)) == data
    except BadInput:
        return


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_one_flipped_bit_anywhere_never_verifies_as_the_same(data: st.DataObject) -> None:
    """Every byte is bound: by the canonical form, a signature, a leaf, a path or a root."""
    original = format_record_file(record())
    where = data.draw(st.integers(0, len(original) - 1))
    bit = data.draw(st.integers(0, 7))
    flipped = original[:where] + bytes([original[where] ^ (1 << bit)]) + original[where + 1 :]
    assert check_record(flipped, whole().trust).outcome is not Outcome.VERIFIED


def test_no_proof_in_the_record_says_more_than_its_place() -> None:
    """Each is a C2SP tlog-proof that any client of such logs reads."""
    for each in record().entries:
        assert Proof.parse(each.tlog_proof).format() == each.tlog_proof
