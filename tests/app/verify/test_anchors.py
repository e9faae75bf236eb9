"""Anchors in proof files: every level, the bracket, and every way to lie about time."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.canonical import b64u_decode, b64u_encode
from app.client.api import StoredAnchor
from app.demo.calendar import BlockChain, mine
from app.demo.pki import LoopbackPki
from app.statements.kinds import Anchor
from app.statements.trust import Trust
from app.verify.proof import check_proof
from app.verify.verdict import Level, Outcome, Verdict
from app.verify.words import bracket_lines, level_lines
from ledger.anchors.growth import Step
from ledger.anchors.headers import HEADER_BYTES, Place, check_chain, parse_header
from ledger.anchors.stamped import stamped_text
from tests.app.verify.anchored import STEP, Anchored, anchored, each_anchor, edited


def failing(verdict: Verdict) -> tuple[Outcome, int, str]:
    assert verdict.failed is not None, verdict
    return verdict.outcome, verdict.failed.number, verdict.failed.code


def refused(proof: bytes, trust: Trust) -> str:
    """The code of the failing check 11, which must be "does not match"."""
    outcome, number, code = failing(check_proof(proof, trust))
    assert (outcome, number) == (Outcome.MISMATCH, 11)
    return code


def covering(form: str) -> Any:
    return lambda each: each["path"] is not None and (each["headers"] is None) == (form == "rfc3161")


@pytest.fixture(scope="module")
def made() -> Anchored:
    return anchored()


@pytest.fixture(scope="module")
def proof(made: Anchored) -> bytes:
    return made.proof()


def test_an_anchored_proof_says_between_which_times_and_who_vouches(made: Anchored, proof: bytes) -> None:
    verdict = check_proof(proof, made.trust(), now=made.clock.now)
    assert verdict.outcome is Outcome.VERIFIED, verdict.failed
    assert verdict.level is Level.ANCHORED
    assert verdict.bracket is not None
    before, after = verdict.bracket.not_before, verdict.bracket.not_after
    assert before is not None
    assert after is not None
    deposited_at = made.clock.now - STEP
    assert before.time in range(deposited_at - STEP - 1, deposited_at)
    assert after.time in range(deposited_at, deposited_at + STEP + 2)
    assert set(before.by) == set(after.by) == {"Demo TSA 1", "Demo TSA 2"}
    assert len(json.loads(proof)["anchors"]) == 6
    told = "\n".join([*level_lines(verdict), *bracket_lines(verdict)])
    assert "timestamped: by Demo TSA 1, Demo TSA 2" in told
    assert "on your own chain of headers" in told
    assert verdict.to_json()["levels"] == {
        "received": "reached",
        "witnessed": "not_asked",
        "timestamped": "reached",
        "anchored": "reached",
    }


def test_each_trust_file_gives_its_own_level(made: Anchored) -> None:
    for options, level, place in (
        ({"tsas": 0, "headers": False}, Level.RECEIVED, Place.UNKNOWN),
        ({"headers": False}, Level.TIMESTAMPED, Place.UNKNOWN),
        ({"tsas": 0}, Level.ANCHORED, Place.LOCATED),
        ({"tsas": 3, "m": 3}, Level.RECEIVED, Place.LOCATED),  # one of the three that it asks for never stamped
        ({"chain": 0}, Level.ANCHORED, Place.WORK_SHOWN),
    ):
        trust = made.trust(**options)
        verdict = check_proof(made.proof(trust), trust, now=made.clock.now)
        assert verdict.outcome is Outcome.VERIFIED, (options, verdict.failed)
        assert verdict.bracket is not None
        assert (verdict.level, verdict.bracket.place) == (level, place), options


def test_the_three_cases_of_a_block_have_words_of_their_own(made: Anchored) -> None:
    told = []
    for options in ({}, {"chain": 0}, {"headers": False}):
        trust = made.trust(**options)
        verdict = check_proof(made.proof(trust), trust)
        told.append("\n".join(level_lines(verdict)))
    assert "on your own chain of headers" in told[0]
    assert "anchored: Bitcoin block" in told[1]
    assert "work shown; that it is on the main chain was not checked" in told[1]
    assert "anchored: not asked for" in told[2]
    assert "header unknown" in told[2]
    assert "proves nothing to you" in told[2]


def test_a_missing_time_stamp_holds_the_level_and_is_said(made: Anchored, proof: bytes) -> None:
    value = json.loads(proof)
    value["anchors"] = [each for each in value["anchors"] if each["headers"] is not None]
    from app.canonical import format_json

    verdict = check_proof(format_json(value).encode(), made.trust())
    assert (verdict.outcome, verdict.level) == (Outcome.VERIFIED, Level.RECEIVED)
    assert verdict.bracket is not None
    assert verdict.bracket.growth.timestamped is Step.PENDING
    assert any("timestamped: pending; time-stamped by nobody" in each for each in level_lines(verdict))


def test_an_authority_that_the_trust_file_does_not_name_cannot_be_told(made: Anchored, proof: bytes) -> None:
    one = made.trust(tsas=1, m=1)
    assert failing(check_proof(proof, one)) == (Outcome.UNKNOWN, 11, "unknown_tsa")
    assert check_proof(proof, one, lenient=True).level is Level.ANCHORED
    none = made.trust(tsas=0)
    assert failing(check_proof(proof, none)) == (Outcome.UNKNOWN, 11, "unknown_tsa")
    assert check_proof(made.proof(one), one).level is Level.ANCHORED  # made for that trust file


def test_a_bundle_of_ones_own_locates_what_the_trust_file_does_not_reach(made: Anchored, proof: bytes) -> None:
    trust = made.trust(chain=0)
    chain = check_chain(made.chain.raw, made.chain.checkpoint)
    verdict = check_proof(proof, trust, chain=chain)
    assert verdict.bracket is not None
    assert verdict.bracket.place is Place.LOCATED


def test_bytes_that_the_statement_does_not_name(made: Anchored, proof: bytes) -> None:
    trust = made.trust()
    for number, each in enumerate(json.loads(proof)["anchors"]):
        data = bytearray(b64u_decode(each["anchor"], "it"))
        for at in range(0, len(data), max(1, len(data) // 5)):
            flipped = bytearray(data)
            flipped[at] ^= 1
            assert refused(edited(proof, number, anchor=b64u_encode(bytes(flipped))), trust) == "anchor_mismatch"


def test_each_part_of_an_anchor_swapped_is_named(made: Anchored, proof: bytes) -> None:
    trust = made.trust()
    anchors = json.loads(proof)["anchors"]
    token = each_anchor(proof, covering("rfc3161"))
    block = each_anchor(proof, covering("opentimestamps"))
    old = anchors[0]
    raw = b64u_decode(anchors[block]["headers"], "it")
    fork = BlockChain(clock=made.clock)
    fork.extend(7)
    for number, changes, code in (
        (token, {"statement": old["statement"], "leaf": old["leaf"]}, "bad_proof"),
        (token, {"leaf": old["leaf"]}, "leaf_mismatch"),
        (token, {"anchor": old["anchor"]}, "anchor_mismatch"),
        (token, {"checkpoint": old["checkpoint"]}, "anchor_mismatch"),
        (token, {"checkpoint": old["checkpoint"].replace("\n", "\r\n")}, "malformed"),
        (token, {"path": anchors[token]["path"][1:]}, "bad_proof"),
        (token, {"path": None}, "bad_proof"),
        (token, {"path": ["00" * 32, *anchors[token]["path"][1:]]}, "bad_proof"),
        (token, {"headers": anchors[block]["headers"]}, "anchor_form"),
        (0, {"path": anchors[token]["path"]}, "bad_proof"),
        (block, {"headers": None}, "anchor_form"),
        (block, {"headers": b64u_encode(raw[:-1])}, "wrong_length"),
        (block, {"headers": b64u_encode(raw[HEADER_BYTES:] + raw[:HEADER_BYTES])}, "wrong_merkle_root"),
        (
            block,
            {"headers": b64u_encode(raw[:HEADER_BYTES] + fork.raw[HEADER_BYTES : 7 * HEADER_BYTES])},
            "broken_linkage",
        ),
        (block, {"headers": b64u_encode(_other_tip(made, raw))}, "wrong_chain"),
        (block, {"headers": b64u_encode(_no_work(raw))}, "header_without_work"),
        (token, {"anchor": "AA=="}, "not_base64url"),
        (token, {"path": "no"}, "wrong_type"),
    ):
        assert refused(edited(proof, number, **changes), trust) == code, changes.keys()


def _other_tip(made: Anchored, raw: bytes) -> bytes:
    """The same block with another last successor, which has its work: a fork of the verifier's chain."""
    last = parse_header(raw[-2 * HEADER_BYTES : -HEADER_BYTES])
    return raw[:-HEADER_BYTES] + mine(last.hash, bytes(32), 1).raw


def _no_work(raw: bytes) -> bytes:
    for nonce in range(256):
        changed = raw[:-1] + bytes([nonce])
        last = parse_header(changed[-HEADER_BYTES:])
        if int.from_bytes(last.hash, "little") >> 255:
            return changed
    raise AssertionError("every nonce has work")


def test_a_surplus_line_in_what_was_stamped(made: Anchored, proof: bytes) -> None:
    """The note as published, with more lines than the log's, is not what was stamped."""
    text = json.loads(proof)["anchors"][0]["checkpoint"]
    line = text.splitlines()[-1]
    assert refused(edited(proof, 0, checkpoint=f"{text}{line}\n"), made.trust()) in ("malformed", "anchor_mismatch")


def test_anchors_stand_in_ledger_order_and_once(made: Anchored, proof: bytes) -> None:
    from app.canonical import format_json

    value = json.loads(proof)
    for anchors in (value["anchors"][::-1], [value["anchors"][0]] * 2):
        changed = format_json({**value, "anchors": anchors}).encode()
        assert refused(changed, made.trust()) == "out_of_order"


# What a registry that lies, or was lied to, may name on its ledger


def lying(form: str, change: Any) -> tuple[bytes, Trust]:
    """A ledger whose newest anchor of a form was changed before the statement named it; and its proof."""
    made = Anchored()
    made.pass_time()
    made.world.open_case("more")
    text, seen = made.stamped(), made.world.seen_now()
    if form == "rfc3161":
        _, anchor, headers = made.token(text, 2)
    else:
        _, anchor, headers = made.proof_in_a_block(text)  # type: ignore[assignment]
    stored, seen = change(made, text, StoredAnchor(checkpoint=text, anchor=anchor, headers=headers), seen)
    made.enter(form, stored, seen)
    trust = made.trust(tsas=3, m=2)
    value = json.loads(made.proof(trust))
    number = len(made.world.entries) - 1
    state = made.made.state()
    from app.client.proof import proven

    entry = proven(state, number, trust)
    index = state.indices[made.made.deposit.digest]
    from app.canonical import format_json
    from app.statements.proofanchor import ProofAnchor, anchor_json

    value["anchors"].append(
        anchor_json(
            ProofAnchor(
                statement=entry.statement,
                leaf=entry.leaf,
                tlog_proof=entry.tlog_proof,
                checkpoint=stored.checkpoint,
                path=state.leaves.path(index, seen.size),
                anchor=stored.anchor,
                headers=stored.headers,
            )
        )
    )
    # The statement's index is the last, so the tlog-proofs of the others are of the same checkpoint.
    return format_json(value).encode(), trust


def same(_made: Anchored, _text: str, stored: StoredAnchor, seen: Any) -> tuple[StoredAnchor, Any]:
    return stored, seen


def test_the_helper_makes_a_good_proof_when_nothing_is_changed() -> None:
    for form in ("rfc3161", "opentimestamps"):
        data, trust = lying(form, same)
        verdict = check_proof(data, trust)
        assert verdict.outcome is Outcome.VERIFIED, verdict.failed
        assert verdict.level is Level.ANCHORED


def test_a_token_older_than_the_checkpoint() -> None:
    def older(made: Anchored, text: str, stored: StoredAnchor, seen: Any) -> Any:
        gen_time = datetime.fromtimestamp(made.clock.now, UTC) - timedelta(seconds=3 * STEP)
        return replace(stored, anchor=made.token(text, 2, gen_time=gen_time)[1]), seen

    assert refused(*lying("rfc3161", older)) == "outside_bracket"


def test_a_token_from_the_future_of_its_own_entry() -> None:
    def later(made: Anchored, text: str, stored: StoredAnchor, seen: Any) -> Any:
        gen_time = datetime.fromtimestamp(made.clock.now, UTC) + timedelta(seconds=3 * STEP)
        return replace(stored, anchor=made.token(text, 2, gen_time=gen_time)[1]), seen

    assert refused(*lying("rfc3161", later)) == "outside_bracket"


def test_tokens_that_do_not_hold() -> None:
    def imprint(made: Anchored, text: str, stored: StoredAnchor, seen: Any) -> Any:
        wrong = hashlib.sha256(b"another checkpoint").digest()
        return replace(stored, anchor=made.token(text, 2, imprint=wrong)[1]), seen

    def sha1(made: Anchored, text: str, stored: StoredAnchor, seen: Any) -> Any:
        weak = hashlib.sha1(text.encode()).digest()  # noqa: S324
        return replace(stored, anchor=made.token(text, 2, algorithm="sha1", imprint=weak)[1]), seen

    def signed_with(issue: Any) -> Any:
        def change(made: Anchored, text: str, stored: StoredAnchor, seen: Any) -> Any:
            tsa = made.pki.tsas[2]
            tsa.issued = issue(made)
            return replace(stored, anchor=made.token(text, 2)[1]), seen

        return change

    def ended(made: Anchored) -> Any:
        from app.demo.pki import Profile

        begin = made.pki.now() - timedelta(days=20)
        return made.pki.issue("Demo TSA 3", profile=Profile.TSA, days=10, begin=begin)

    def sealing(made: Anchored) -> Any:
        return made.pki.issue("Demo TSA 3")

    def forged(made: Anchored) -> Any:
        return LoopbackPki("http://pki.example", clock=made.clock, tsas=3).tsas[2].issued

    for change, code in (
        (imprint, "wrong_imprint"),
        (sha1, "weak_imprint"),
        (signed_with(ended), "expired_tsa"),
        (signed_with(forged), "wrong_tsa"),
    ):
        assert refused(*lying("rfc3161", change)) == code

    def wrong_eku(made: Anchored, text: str, stored: StoredAnchor, seen: Any) -> Any:
        issued = sealing(made)
        made.pki.tsas[2].issued = issued
        from cryptography.hazmat.primitives.serialization import Encoding

        chain = (issued.der, *(each.public_bytes(Encoding.DER) for each in issued.chain))
        return replace(stored, anchor=made.token(text, 2, certificates=chain)[1]), seen

    assert refused(*lying("rfc3161", wrong_eku)) == "wrong_eku"

    def surplus(made: Anchored, text: str, stored: StoredAnchor, seen: Any) -> Any:
        chain = tuple(each.issued.der for each in made.pki.tsas)
        return replace(stored, anchor=made.token(text, 2, certificates=chain)[1]), seen

    assert refused(*lying("rfc3161", surplus)) == "surplus_certificate"


def test_a_forged_calendar_attestation_and_an_incomplete_proof() -> None:
    from opentimestamps.core.notary import BitcoinBlockHeaderAttestation

    from ledger.anchors.ots import format_proof, new_stamp, parse_reply

    def forged(made: Anchored, text: str, stored: StoredAnchor, seen: Any) -> Any:
        stamp = new_stamp(hashlib.sha256(text.encode()).digest())
        stamp.attestations.add(BitcoinBlockHeaderAttestation(1))
        return StoredAnchor(
            checkpoint=text, anchor=format_proof(stamp), headers=made.chain.raw[HEADER_BYTES : 8 * HEADER_BYTES]
        ), seen

    assert refused(*lying("opentimestamps", forged)) == "wrong_merkle_root"

    def pending(made: Anchored, text: str, stored: StoredAnchor, seen: Any) -> Any:
        digest = hashlib.sha256(text.encode()).digest()
        stamp = new_stamp(digest)
        stamp.merge(parse_reply(made.calendar.submit(digest), digest))
        return replace(stored, anchor=format_proof(stamp)), seen

    assert refused(*lying("opentimestamps", pending)) == "anchor_form"


def test_a_checkpoint_of_another_size_was_stamped() -> None:
    def earlier(made: Anchored, text: str, stored: StoredAnchor, seen: Any) -> Any:
        from tests.app.client.world_service import checkpoint_of

        keys = [log.key for log in made.trust().policy.logs]
        small = stamped_text(checkpoint_of(made.world.entries, seen.size - 1), keys)
        return StoredAnchor(checkpoint=small, anchor=made.token(small, 2)[1], headers=None), seen

    assert refused(*lying("rfc3161", earlier)) == "anchor_mismatch"


def test_only_the_service_key_of_the_genesis_names_anchors(made: Anchored, proof: bytes) -> None:
    value = json.loads(proof)
    other = made.world.sign("registrar", Anchor(form="rfc3161", anchor=bytes(32)))
    from app.statements.statement import leaf_of

    code = refused(edited(proof, 0, statement=other.text, leaf=leaf_of(other, made.world.now)), made.trust())
    assert code == "bad_proof"  # it is not on the ledger, and the rules would not let it there
    assert value["anchors"]


def test_a_leaf_after_the_first_anchor_that_covers_it_is_refused() -> None:
    """The registry's clock was ahead of everybody's: its word about the time of the deposit is not what counts."""
    made = Anchored(ahead=10 * STEP)
    trust = made.trust()
    assert refused(made.proof(trust), trust) == "outside_bracket"


def test_certificates_that_have_ended_count_no_more_and_a_later_anchor_does() -> None:
    made = Anchored()
    trust = made.trust()
    proof = made.proof(trust)
    late = made.clock.now + 11 * 365 * 86_400
    verdict = check_proof(proof, trust, now=late)
    assert (verdict.outcome, verdict.level) == (Outcome.VERIFIED, Level.RECEIVED)
    assert verdict.bracket is not None
    assert verdict.bracket.ended == ("Demo TSA 1", "Demo TSA 2")
    assert any("have ended, so a later time-stamp is needed" in each for each in level_lines(verdict))
    # Renewed in time: the same ledger goes on to be stamped, under new certificates.
    from app.demo.pki import Profile

    years = 9 * 365 * 86_400
    made.pass_time(years)
    for tsa in made.pki.tsas:
        tsa.issued = made.pki.issue(tsa.name, profile=Profile.TSA, begin=made.pki.now() - timedelta(days=1))
    made.world.enrol("judge9", "judge")
    made.round()
    made.clock.now = late
    renewed = check_proof(made.proof(trust), trust, now=late)
    assert renewed.outcome is Outcome.VERIFIED, renewed.failed
    assert renewed.bracket is not None
    assert renewed.bracket.growth.timestamped is Step.REACHED


def test_dropping_anchors_lowers_the_level_and_says_so(made: Anchored, proof: bytes) -> None:
    from app.canonical import format_json

    value = json.loads(proof)
    verdict = check_proof(format_json({**value, "anchors": []}).encode(), made.trust())
    assert (verdict.outcome, verdict.level) == (Outcome.VERIFIED, Level.RECEIVED)
    assert verdict.bracket is not None
    assert verdict.bracket.growth.pending == (Level.TIMESTAMPED, Level.ANCHORED)
    assert "nobody outside the registry vouches" in "\n".join(bracket_lines(verdict))
