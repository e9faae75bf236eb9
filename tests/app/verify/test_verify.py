"""A proof file verifies, and nothing that differs from it does."""

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from app.canonical import format_json
from app.errors import BadInput
from app.statements.disclosure import make_disclosure
from app.statements.kinds import Authority, Deposit, MemberEnrol, MemberKey
from app.statements.prooffile import choose, format_proof_file, known_lines, parse_proof_file
from app.statements.trust import Trust, format_trust, parse_trust
from app.verify.proof import FileDigest, check_proof, hash_file
from app.verify.verdict import Level, Outcome, Verdict
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.cosignature import Ed25519Cosigner
from ledger.merkle import inclusion_path, leaf_hash, node_hash, range_root
from ledger.note import Note, NoteSigner
from ledger.proof import Proof
from tests.app.client.world_service import checkpoint_of, log_signer, trust_of
from tests.app.rules.world import NOTES, seed
from tests.app.verify.proofs import FILES, Made, a_deposit, deposited, panelled
from tests.docs.second_verifier import Verifier


@pytest.fixture(scope="module")
def made() -> Made:
    return a_deposit()


@pytest.fixture(scope="module")
def proof(made: Made) -> bytes:
    return made.proof()


def digests(*contents: bytes) -> list[FileDigest]:
    return [FileDigest(path=f"f{i}", sha256=hashlib.sha256(each).digest()) for i, each in enumerate(contents)]


def failing(verdict: Verdict) -> tuple[Outcome, int, str]:
    assert verdict.failed is not None
    assert verdict.checks[-1] is verdict.failed
    return verdict.outcome, verdict.failed.number, verdict.failed.code


def edited(proof: bytes, **changes: Any) -> bytes:
    return format_json({**json.loads(proof), **changes}).encode()


def test_a_proof_with_all_files_verifies(made: Made, proof: bytes) -> None:
    verdict = check_proof(proof, made.trust, digests(*FILES.values()))
    assert verdict.outcome is Outcome.VERIFIED, verdict.failed
    assert [each.number for each in verdict.checks] == list(range(1, 13))
    assert [each.items for each in verdict.files] == [(1,), (2,), (3,)]
    assert [each.name for each in verdict.items] == list(FILES)
    assert [each.size for each in verdict.items] == [len(each) for each in FILES.values()]
    assert verdict.trust_sha256 == made.trust.sha256.hex()
    assert verdict.level is Level.RECEIVED
    assert verdict.depositor_name == "lawyer1"
    assert json.loads(json.dumps(verdict.to_json()))["exit_code"] == 0


def test_what_is_not_disclosed_is_not_in_the_file(made: Made) -> None:
    text = made.proof(("size",)).decode()
    verdict = check_proof(text.encode(), made.trust)
    assert verdict.outcome is Outcome.VERIFIED
    assert all(each.name is None and each.sha256 is None and each.size is not None for each in verdict.items)
    full = made.proof().decode()
    for each in made.inventory.disclosures:
        assert (each.disclosure in text) == (each.slot == "size")
        assert (each.disclosure in full) == (each.slot in ("name", "type", "size", "sha256"))


def test_description_and_origin_can_be_disclosed(made: Made) -> None:
    verdict = check_proof(made.proof(("description", "origin", "parts")), made.trust)
    assert verdict.outcome is Outcome.VERIFIED, verdict.failed
    assert verdict.description == "what the police found"
    assert verdict.provenance is None


def test_a_changed_file_does_not_match_and_is_named(made: Made, proof: bytes) -> None:
    contents = list(FILES.values())
    verdict = check_proof(proof, made.trust, [*digests(*contents), FileDigest(path="forged", sha256=bytes(32))])
    assert failing(verdict) == (Outcome.MISMATCH, 12, "file_differs")
    assert verdict.failed is not None
    assert "forged" in verdict.failed.detail
    assert "f0" not in verdict.failed.detail


def test_a_file_without_a_disclosed_digest_cannot_be_told(made: Made) -> None:
    verdict = check_proof(made.proof(("name", "size")), made.trust, digests(b"x"))
    assert failing(verdict) == (Outcome.UNKNOWN, 12, "not_disclosed")


def test_a_proof_that_is_changed_in_any_byte_never_verifies(made: Made, proof: bytes) -> None:
    """Sampled with a fixed seed: every position class is met; the whole file would take minutes."""
    rng = random.Random(20260101)
    positions = set(rng.sample(range(len(proof)), 600)) | set(range(80)) | set(range(len(proof) - 40, len(proof)))
    for at in positions:
        changed = bytearray(proof)
        changed[at] ^= 1 << rng.randrange(8)
        assert check_proof(bytes(changed), made.trust).outcome is not Outcome.VERIFIED, at


def test_a_proof_that_is_cut_or_continued_never_verifies(made: Made, proof: bytes) -> None:
    for changed in (b"", proof[:-1], proof + b"\n", proof + b" ", b"\xef\xbb\xbf" + proof, proof + proof):
        assert failing(check_proof(changed, made.trust))[:2] == (Outcome.MISMATCH, 1)


def test_other_spellings_and_shapes_are_refused(made: Made, proof: bytes) -> None:
    value = json.loads(proof)
    for changed in (
        json.dumps(value).encode(),
        json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode(),
        edited(proof, format="muniment-proof/v2"),
        edited(proof, more=1),
        edited(proof, signers=[]),
        edited(proof, disclosures=value["disclosures"][::-1]),
        edited(proof, disclosures=[*value["disclosures"], value["disclosures"][-1]]),
        edited(proof, disclosures=[{**value["disclosures"][0], "slot": "colour"}]),
        edited(proof, disclosures=[{**value["disclosures"][0], "item": 0}]),
        edited(proof, statement=None),
        b"[" * 100_000,
        b"{}",
        b"null",
    ):
        assert failing(check_proof(changed, made.trust))[:2] == (Outcome.MISMATCH, 1)


def test_each_part_swapped_for_another_good_one_is_named(made: Made, proof: bytes) -> None:
    value = json.loads(proof)
    enrolment = value["signers"][-1]
    other = [{**value["disclosures"][0], "disclosure": make_disclosure("forged.txt", bytes(16))}]
    beyond = [{**value["disclosures"][0], "item": 9}]
    cases: list[tuple[dict[str, Any], Outcome, int, str]] = [
        ({"statement": enrolment["statement"]}, Outcome.MISMATCH, 2, "not_a_deposit"),
        ({"leaf": enrolment["leaf"]}, Outcome.MISMATCH, 3, "leaf_mismatch"),
        ({"tlog_proof": enrolment["tlog_proof"]}, Outcome.MISMATCH, 4, "bad_proof"),
        (
            {"tlog_proof": value["tlog_proof"].replace("\nindex", "\nextra AAAA\nindex")},
            Outcome.MISMATCH,
            4,
            "malformed",
        ),
        ({"signers": value["signers"][1:]}, Outcome.MISMATCH, 7, "replay_refused"),
        ({"signers": value["signers"][:-1]}, Outcome.MISMATCH, 7, "unknown_signer"),
        ({"signers": value["signers"][::-1]}, Outcome.MISMATCH, 7, "replay_refused"),
        ({"signers": [value["signers"][0]] * 2}, Outcome.MISMATCH, 7, "out_of_order"),
        (
            {"manifest": value["manifest"].replace(made.inventory.item_slots(1).name, "A" * 43)},
            Outcome.MISMATCH,
            9,
            "manifest_mismatch",
        ),
        ({"disclosures": other}, Outcome.MISMATCH, 10, "disclosure_mismatch"),
        ({"disclosures": beyond}, Outcome.MISMATCH, 10, "disclosure_mismatch"),
        ({"anchors": [{"kind": "rfc3161"}]}, Outcome.UNKNOWN, 11, "unknown_anchor"),
    ]
    for changes, outcome, number, code in cases:
        assert failing(check_proof(edited(proof, **changes), made.trust)) == (outcome, number, code), changes.keys()


def test_extra_data_of_a_tlog_proof_passes_only_when_lenient(made: Made, proof: bytes) -> None:
    value = json.loads(proof)
    changed = edited(proof, tlog_proof=value["tlog_proof"].replace("\nindex", "\nextra AAAA\nindex"))
    assert check_proof(changed, made.trust).outcome is Outcome.MISMATCH
    assert check_proof(changed, made.trust, lenient=True).outcome is Outcome.VERIFIED


def test_another_registry_cannot_tell(made: Made, proof: bytes) -> None:
    text = made.trust.text
    from app.statements.trust import parse_trust

    log = made.trust.policy.log
    renamed = text.replace(log.text, replace(log, name="ledger.example/other").text)
    origin = parse_trust(renamed.replace('"origin":"ledger.example/court"', '"origin":"ledger.example/other"'))
    assert failing(check_proof(proof, origin)) == (Outcome.UNKNOWN, 2, "other_ledger")
    stranger = Ed25519PrivateKey.from_private_bytes(seed("stranger")).public_key().public_bytes_raw()
    key = parse_trust(text.replace(log.text, replace(log, public_key=stranger).text))
    assert failing(check_proof(proof, key)) == (Outcome.UNKNOWN, 4, "other_ledger")


def test_another_genesis_under_the_same_log_key_does_not_match(made: Made, proof: bytes) -> None:
    from app.statements.trust import parse_trust

    forged = parse_trust(made.trust.text.replace(made.trust.genesis.hex(), "00" * 32))
    assert failing(check_proof(proof, forged)) == (Outcome.MISMATCH, 7, "replay_refused")


# Witnesses


def witness() -> Ed25519Cosigner:
    return Ed25519Cosigner("witness.example", Ed25519PrivateKey.from_private_bytes(seed("witness")))


def demanding(made: Made) -> Trust:
    return trust_of(made.world, more=f"witness w1 {witness().key.text}\n", quorum="w1")


def cosigned(made: Made) -> str:
    note = Note.parse(checkpoint_of(made.world.entries))
    line = witness().cosign(made.state().checkpoint, made.world.now)
    return Note(text=note.text, signatures=(*note.signatures, line)).format()


def test_without_its_quorum_the_level_is_received_and_nobody_can_tell(made: Made, proof: bytes) -> None:
    verdict = check_proof(proof, demanding(made))
    assert failing(verdict) == (Outcome.UNKNOWN, 6, "quorum_missing")
    assert verdict.level is Level.RECEIVED


def test_with_its_quorum_it_is_witnessed(made: Made) -> None:
    data = made.proof(signed=cosigned(made), trust=demanding(made))
    verdict = check_proof(data, demanding(made))
    assert verdict.outcome is Outcome.VERIFIED, verdict.failed
    assert verdict.level is Level.WITNESSED
    assert verdict.witnesses == ["w1"]


def test_a_line_of_an_unknown_key_cannot_be_told_unless_lenient(made: Made) -> None:
    data = made.proof(signed=cosigned(made), trust=demanding(made))
    verdict = check_proof(data, made.trust)
    assert failing(verdict) == (Outcome.UNKNOWN, 5, "unknown_signature_line")
    assert verdict.failed is not None
    assert "witness.example" in verdict.failed.detail
    assert check_proof(data, made.trust, lenient=True).outcome is Outcome.VERIFIED


def test_a_proof_for_a_trust_file_has_only_the_lines_that_it_knows(made: Made) -> None:
    data = made.proof(signed=cosigned(made), trust=made.trust)
    assert b"witness.example" not in data
    assert check_proof(data, made.trust).outcome is Outcome.VERIFIED


def test_a_forged_cosignature_does_not_match(made: Made) -> None:
    signed = cosigned(made)
    lines = Note.parse(signed).signatures
    wrong = replace(lines[1], signature=lines[1].signature[:-1] + bytes([lines[1].signature[-1] ^ 1]))
    forged = Note(text=Note.parse(signed).text, signatures=(lines[0], wrong)).format()
    data = made.proof(signed=forged, trust=demanding(made))
    assert failing(check_proof(data, demanding(made))) == (Outcome.MISMATCH, 4, "bad_signature")


# Signers


def test_a_rotated_key_brings_its_rotation_and_a_second_registrar_his_approvals() -> None:
    world, ceremony, case_id = panelled()
    world.enrol("registrar2", "registrar")
    world.do("registrar2", world.enrolment("lawyer3", "depositor"))
    from app.statements.kinds import CaseParty

    world.do("clerk", CaseParty(case_id=case_id, member=world.id("lawyer3"), note=None))
    world.do(
        "lawyer3",
        MemberKey(member=world.id("lawyer3"), role="depositor", key=world.signer("lawyer3b").public, notes=NOTES),
    )
    made = deposited(world, ceremony, case_id, "lawyer3b")
    data = made.proof()
    kinds = [json.loads(each.leaf)["kind"] for each in parse_proof_file(data).signers]
    assert kinds == ["genesis", "member.enrol", "approval", "approval", "private", "private"]
    assert check_proof(data, made.trust).outcome is Outcome.VERIFIED
    value = json.loads(data)
    for missing in range(6):
        signers = value["signers"][:missing] + value["signers"][missing + 1 :]
        assert failing(check_proof(edited(data, signers=signers), made.trust))[:2] == (Outcome.MISMATCH, 7)


def test_a_deposit_by_someone_else_than_a_depositor_is_refused() -> None:
    """Laid on the ledger by a dishonest service: the rules of the verifier still say no."""
    from app.rules.replay import Entry
    from app.statements.statement import leaf_of

    world, ceremony, case_id = panelled()
    made = deposited(world, ceremony, case_id)
    claims = made.deposit.claims
    assert isinstance(claims, Deposit)
    for name, number, code in (("lawyer2", 7, "wrong_signer"), ("nobody", 7, "unknown_signer")):
        forged = world.sign(name, claims)
        world.entries.append(Entry(index=len(world.entries), leaf=leaf_of(forged, world.now), statement=forged.text))
        state = made.state()
        from app.client.proof import proven, signers_of
        from app.statements.prooffile import ProofFile

        index = len(world.entries) - 1
        signers = signers_of(state, forged, index) or (0,)
        data = format_proof_file(
            ProofFile(
                deposit=proven(state, index, made.trust),
                disclosures=(),
                manifest=made.manifest,
                signers=tuple(proven(state, each, made.trust) for each in signers),
            )
        )
        assert failing(check_proof(data, made.trust)) == (Outcome.MISMATCH, number, code)


def test_a_deposit_outside_its_validity_is_refused() -> None:
    from app.rules.replay import Entry
    from app.statements.statement import leaf_of

    world, ceremony, case_id = panelled()
    made = deposited(world, ceremony, case_id)
    late = leaf_of(made.deposit, made.deposit.envelope.exp)
    world.entries[-1] = Entry(index=len(world.entries) - 1, leaf=late, statement=made.deposit.text)
    assert failing(check_proof(made.proof(), made.trust)) == (Outcome.MISMATCH, 8, "bad_validity")


def test_a_deposit_dated_before_its_signers_enrolment_is_refused() -> None:
    """Both leaves are signed by the log: only their times give the registry away."""
    from app.rules.replay import Entry
    from app.statements.statement import leaf_of, parse_leaf

    world, ceremony, case_id = panelled()
    made = deposited(world, ceremony, case_id)
    index = len(world.entries) - 1
    enrolled = max(parse_leaf(each.leaf).time for each in parse_proof_file(made.proof()).signers)
    for time, outcome in ((enrolled, Outcome.VERIFIED), (enrolled - 1, Outcome.MISMATCH)):
        assert made.deposit.envelope.iat - 300 <= time
        dated = leaf_of(made.deposit, time)
        entries = [*world.entries[:index], Entry(index=index, leaf=dated, statement=made.deposit.text)]
        data = as_signed(made.proof(), entries)
        verdict = check_proof(data, made.trust)
        assert verdict.outcome is outcome, verdict.failed
        assert Verifier(data, made.trust.text, []).run() == ((None, 0) if outcome is Outcome.VERIFIED else (7, 1))
    assert failing(verdict) == (Outcome.MISMATCH, 7, "back_dated")


def as_signed(proof: bytes, entries: list[Any]) -> bytes:
    """The proof over these entries, the last of them the deposit's: what a log signs that looks at no time."""

    def lookup(level: int, at: int) -> bytes:
        if level == 0:
            return leaf_hash(entries[at].leaf.encode())
        return node_hash(lookup(level - 1, 2 * at), lookup(level - 1, 2 * at + 1))

    size = len(entries)
    log = log_signer()
    signed = sign_checkpoint(Checkpoint(origin=log.name, size=size, root=range_root(0, size, lookup)), log)

    def proven(index: int) -> str:
        return Proof(index=index, path=inclusion_path(index, size, lookup), checkpoint=signed).format()

    value = json.loads(proof)
    places = {each.leaf: each.index for each in entries}
    signers = [{**each, "tlog_proof": proven(places[each["leaf"]])} for each in value["signers"]]
    return edited(proof, leaf=entries[-1].leaf, tlog_proof=proven(size - 1), signers=signers)


def test_a_genesis_with_another_authority_or_log_than_the_trust_file_cannot_be_believed(
    made: Made, proof: bytes
) -> None:
    """The digest is the right one: whoever printed the trust file had not looked behind it."""
    own = made.trust
    stranger = made.world.signer("stranger").public
    log = NoteSigner(own.origin, Ed25519PrivateKey.from_private_bytes(seed("another log")))
    for authority, policy_text in (
        (Authority(keys=(stranger, *own.authority.keys[1:]), m=own.authority.m), own.policy_text),
        (Authority(keys=own.authority.keys, m=own.authority.m - 1), own.policy_text),
    ):
        text = format_trust(origin=own.origin, genesis=own.genesis, authority=authority, policy_text=policy_text)
        assert failing(check_proof(proof, parse_trust(text))) == (Outcome.UNKNOWN, 7, "trust_contradicts")
        assert Verifier(proof, text, []).run() == (7, 3)
    # A log that the genesis does not name, over the same entries.
    note = Note.parse(checkpoint_of(made.world.entries))
    signed = Note(text=note.text, signatures=(log.sign(note.text),)).format()
    policy_text = own.policy_text.replace(own.policy.logs[0].key.text, log.key.text)
    text = format_trust(origin=own.origin, genesis=own.genesis, authority=own.authority, policy_text=policy_text)
    data = made.proof(signed=signed, trust=parse_trust(text))
    assert failing(check_proof(data, parse_trust(text))) == (Outcome.UNKNOWN, 7, "trust_contradicts")
    assert Verifier(data, text, []).run() == (7, 3)


def test_an_enrolment_after_the_deposit_does_not_count(made: Made, proof: bytes) -> None:
    claims = made.deposit.claims
    assert isinstance(claims, Deposit)
    value = json.loads(proof)
    later = made.world.entries[-1]
    state = made.state()
    extra = {"statement": later.statement, "leaf": later.leaf, "tlog_proof": state.proof(later.index)}
    verdict = check_proof(edited(proof, signers=[*value["signers"], extra]), made.trust)
    assert failing(verdict) == (Outcome.MISMATCH, 7, "out_of_order")


# Parsers and files


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_arbitrary_bytes_are_refused_with_our_own_error(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_proof_file(data)


@given(data=st.data())
def test_a_proof_with_one_value_replaced_never_raises_and_never_verifies(made: Made, proof: bytes, data: Any) -> None:
    value = json.loads(proof)
    key = data.draw(st.sampled_from(sorted(value)))
    junk = st.none() | st.integers() | st.text(max_size=40) | st.lists(st.integers(), max_size=3) | st.just({})
    replaced = data.draw(junk)
    if replaced in (value[key], []):
        return
    changed = json.dumps({**value, key: replaced}, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    assert check_proof(changed, made.trust).outcome is not Outcome.VERIFIED


def test_the_proof_file_round_trips(proof: bytes) -> None:
    assert format_proof_file(parse_proof_file(proof)) == proof


def test_a_proof_cannot_be_made_for_a_trust_file_that_does_not_know_the_log(made: Made) -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(seed("stranger")).public_key().public_bytes_raw()
    policy = replace(
        made.trust.policy,
        logs=(replace(made.trust.policy.logs[0], key=replace(made.trust.policy.log, public_key=stranger)),),
    )
    with pytest.raises(BadInput) as caught:
        known_lines(made.state().proof(0), policy)
    assert caught.value.code == "not_in_policy"


def test_an_unknown_slot_is_named(made: Made) -> None:
    with pytest.raises(BadInput) as caught:
        choose(made.inventory.disclosures, ["name", "colour"])
    assert "colour" in caught.value.message


def test_a_file_is_hashed_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"ab" * 1_500_000)
    assert hash_file(path).sha256 == hashlib.sha256(b"ab" * 1_500_000).digest()
    with pytest.raises(BadInput):
        hash_file(tmp_path / "absent")
    with pytest.raises(BadInput):
        hash_file(tmp_path)


def test_an_enrolment_is_shown_with_the_name(made: Made, proof: bytes) -> None:
    from app.statements.statement import parse_statement

    claims = parse_statement(parse_proof_file(proof).signers[-1].statement).claims
    assert isinstance(claims, MemberEnrol)
    assert claims.name == "lawyer1"
