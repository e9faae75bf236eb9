"""The protocol's vectors, computed again from the inputs that stand in them."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.canonical import b64u_decode, format_json, parse_json
from app.errors import BadInput, Mismatch
from app.fields import read_record
from app.panels.capsule import admit, box_of, label, public_part
from app.panels.making.capsule import encrypt
from app.panels.making.opening import open_capsule
from app.panels.record import parse_record
from app.panels.request import begin_release
from app.rules.act import Circumstances, SeenFacts
from app.rules.aggregates import Epoch, Person
from app.rules.decide import Refusal, decide
from app.rules.replay import Entry, Replay
from app.sealing.age import decrypt_bytes
from app.sealing.hybrid import PqIdentity
from app.sealing.inventory import check_inventory, parse_inventory
from app.sealing.keys import ItemKeys
from app.sealing.manifest import manifest_hash, parse_manifest
from app.sealing.stream import encrypt_chunks
from app.sealing.x25519 import Identity
from app.statements.disclosure import make_disclosure, open_disclosure, parse_named_disclosure, slot_of
from app.statements.keys import jwk_of, thumbprint
from app.statements.kinds import KINDS, leaf_kind
from app.statements.statement import Seen, Signer, leaf_of, parse_leaf, parse_statement
from app.statements.trust import check_genesis, parse_trust
from app.verify.proof import check_proof
from app.verify.verdict import Level, Outcome
from ledger.batch import Batch, batch_id, check_extends
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.cosignature import Ed25519Cosigner
from ledger.merkle import (
    EMPTY_FRONTIER,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from ledger.note import Note, NoteSigner
from ledger.policy import Policy
from ledger.proof import Proof
from ledger.tiles import Bundle, Tile, decode_bundle, parse_path

FOLDER = Path(__file__).parent.parent / "vectors" / "protocol"


@cache
def vectors(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


HISTORY = vectors("history")
LEAVES = [each["leaf"].encode() for each in HISTORY["entries"]]


def entries() -> list[Entry]:
    return [Entry(index=each["index"], leaf=each["leaf"], statement=each["statement"]) for each in HISTORY["entries"]]


def facts(size: int, before: int) -> SeenFacts:
    if size > before:
        return SeenFacts(root=None, superseded_at=None)
    after = parse_leaf(LEAVES[size]).time if size < before else None
    return SeenFacts(root=root_of(leaf_hash(each) for each in LEAVES[:size]), superseded_at=after)


def replayed(count: int) -> Replay:
    replay = Replay(origin=HISTORY["origin"], genesis=bytes.fromhex(HISTORY["genesis"]), seen=facts)
    replay.extend(entries()[:count])
    return replay


@pytest.mark.parametrize("case", vectors("encodings")["canonical"], ids=lambda case: case["hex"][:20])
def test_canonical_json(case: Any) -> None:
    assert format_json(case["value"]).encode().hex() == case["hex"]
    assert parse_json(bytes.fromhex(case["hex"]), what="it", max_bytes=1000) == case["value"]


@pytest.mark.parametrize("case", vectors("encodings")["refused"], ids=lambda case: case["why"])
def test_refused_json(case: Any) -> None:
    with pytest.raises(BadInput) as caught:
        parse_json(bytes.fromhex(case["hex"]), what="it", max_bytes=1000)
    assert caught.value.code == case["code"]


def test_keys_and_slots() -> None:
    for case in vectors("encodings")["keys"]:
        public = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(case["seed"])).public_key().public_bytes_raw()
        assert (jwk_of(public), thumbprint(public)) == (case["jwk"], case["thumbprint"])
    for case in vectors("encodings")["slots"]:
        assert make_disclosure(case["value"], bytes.fromhex(case["salt"])) == case["disclosure"]
        assert slot_of(case["disclosure"]) == case["slot"]


def test_the_histories_have_every_kind() -> None:
    both = [*HISTORY["entries"], *vectors("acts")["entries"]]
    assert {each["kind"] for each in both} == set(KINDS)


@pytest.mark.parametrize("case", HISTORY["entries"], ids=lambda case: f"{case['index']}-{case['kind']}")
def test_statement_and_leaf(case: Any) -> None:
    envelope = case["envelope"]
    claims = read_record(KINDS[case["kind"]], case["claims"], "claims")
    signed = Signer(bytes.fromhex(case["seed"])).sign(
        claims,
        aud=envelope["aud"],
        iat=envelope["iat"],
        exp=envelope["exp"],
        jti=bytes.fromhex(envelope["jti"]),
        seen=read_record(Seen, envelope["seen"], "seen"),
    )
    assert (signed.text, signed.kind) == (case["statement"], case["kind"])
    assert signed.digest.hex() == case["digest"] == hashlib.sha256(case["statement"].encode()).hexdigest()
    assert leaf_of(signed, parse_leaf(case["leaf"]).time) == case["leaf"]
    assert leaf_kind(signed.kind, signed.claims) == (case["kind"] if case["public"] else "private")
    assert leaf_hash(case["leaf"].encode()).hex() == case["leaf_hash"]


def test_the_rules_admit_the_history() -> None:
    view = replayed(len(LEAVES)).view
    deposit = vectors("deposit")
    epoch = view.find(Epoch, parse_record(bytes.fromhex(deposit["release"]["record"])).epoch_id.hex())
    assert epoch is not None
    assert epoch.record.hex() == deposit["release"]["record"]
    signers = {each["signer"]: each for each in HISTORY["entries"]}
    first = thumbprint(
        Ed25519PrivateKey.from_private_bytes(bytes.fromhex(signers["lawyer1"]["seed"])).public_key().public_bytes_raw()
    )
    person = view.find(Person, first)
    assert person is not None
    # The id is of the first key, and the key is the second one.
    assert thumbprint(person.key) != first


@pytest.mark.parametrize("case", HISTORY["refused"], ids=lambda case: case["why"])
def test_the_rules_refuse(case: Any) -> None:
    verdict = decide(
        replayed(case["after"]).view,
        parse_statement(case["statement"]),
        Circumstances(
            now=case["now"],
            index=case["after"],
            origin=HISTORY["origin"],
            genesis=bytes.fromhex(HISTORY["genesis"]),
            seen=facts(parse_statement(case["statement"]).envelope.seen.size, case["after"]),
        ),
    )
    assert isinstance(verdict, Refusal)
    assert verdict.code == case["code"]


def test_the_sealed_note() -> None:
    note = HISTORY["note"]
    file = b64u_decode(note["file"], "the note")
    assert hashlib.sha256(file).hexdigest() == note["sha256"]
    assert decrypt_bytes(file, [PqIdentity.parse(note["identity"])]).decode() == note["content"]


def test_tree_and_checkpoints() -> None:
    ledger = vectors("ledger")
    hashes = [leaf_hash(each) for each in LEAVES]
    assert [root_of(hashes[:n]).hex() for n in range(len(hashes) + 1)] == ledger["roots"]
    root = bytes.fromhex(ledger["roots"][-1])
    for case in ledger["inclusion"]:
        path = [bytes.fromhex(each) for each in case["path"]]
        verify_inclusion(case["index"], case["size"], hashes[case["index"]], path, root)
    for case in ledger["consistency"]:
        path = [bytes.fromhex(each) for each in case["path"]]
        verify_consistency(case["from"], bytes.fromhex(ledger["roots"][case["from"]]), case["to"], root, path)
    origin = HISTORY["origin"]
    signer = NoteSigner(origin, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(ledger["log_seed"])))
    witness_key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(ledger["witness_seed"]))
    witness = Ed25519Cosigner("witness.example/1", witness_key)
    checkpoint = Checkpoint(origin=origin, size=len(hashes), root=root)
    assert signer.key.text == ledger["vkey"]
    assert witness.key.text == ledger["witness_vkey"]
    assert sign_checkpoint(checkpoint, signer) == ledger["checkpoint"]
    lines = (*Note.parse(ledger["checkpoint"]).signatures, witness.cosign(checkpoint, ledger["cosigned_at"]))
    assert Note(text=checkpoint.body, signatures=lines).format() == ledger["cosigned"]
    policy = Policy.parse(f"log {ledger['vkey']}\nwitness w1 {ledger['witness_vkey']}\nquorum w1\n")
    assert policy.verify(ledger["cosigned"]).quorum_met
    assert not policy.verify(ledger["checkpoint"]).quorum_met
    proven = Proof.parse(ledger["tlog_proof"]).verify(policy, hashes[5])
    assert (proven.index, proven.checkpoint) == (5, checkpoint)


def test_batch_and_tiles() -> None:
    ledger = vectors("ledger")
    frontier = EMPTY_FRONTIER.extend(leaf_hash(each) for each in LEAVES[:5])
    assert [each.hex() for each in frontier.hashes] == ledger["frontier_5"]
    batch = Batch.decode(bytes.fromhex(ledger["batch"]["hex"]))
    check_extends(frontier, batch)
    start, end = ledger["batch"]["entries"]
    assert batch.entries == tuple(LEAVES[start:end])
    assert batch_id(batch.start) == ledger["batch"]["id"]
    assert batch.root.hex() == ledger["roots"][end]
    for path, data in ledger["tiles"].items():
        tile = parse_path(path)
        if isinstance(tile, Bundle):
            assert decode_bundle(bytes.fromhex(data), tile.width) == tuple(LEAVES)
        else:
            assert bytes.fromhex(data) == b"".join(leaf_hash(each) for each in LEAVES)
    for level, index, width, path in ledger["paths"]:
        assert Tile(level=level, index=index, width=width).path == path


def test_the_sealed_deposit() -> None:
    deposit = vectors("deposit")
    identity = Identity(bytes.fromhex(deposit["secret"]))
    assert identity.recipient.format() == deposit["recipient"]
    manifest = parse_manifest(deposit["manifest"])
    assert manifest_hash(deposit["manifest"]).hex() == deposit["manifest_hash"]
    for case, listed in zip(deposit["items"], manifest.items, strict=True):
        keys = ItemKeys.unpack(bytes.fromhex(case["file_key"] + case["ephemeral"] + case["nonce"]))
        sealed = keys.prelude(identity.recipient) + encrypt_chunks(keys.cipher(), bytes.fromhex(case["plain"]))
        assert sealed.hex() == case["sealed"]
        assert (len(sealed), hashlib.sha256(sealed).digest()) == (listed.length, listed.segments[0])
        assert listed.segments[0].hex() == case["segment"]
        assert listed.root.hex() == case["root"] == leaf_hash(listed.segments[0]).hex()
        assert decrypt_bytes(sealed, [identity]).hex() == case["plain"]
    assert bytes.fromhex(deposit["items"][0]["plain"]).decode() == deposit["inventory"]
    claims = next(each["claims"] for each in HISTORY["entries"] if each["kind"] == "deposit")
    check_inventory(
        parse_inventory(deposit["inventory"]),
        manifest,
        deposit_id=bytes.fromhex(claims["deposit_id"]),
        case_id=bytes.fromhex(claims["case_id"]),
        deposit_slots=claims["slots"],
    )


def test_capsule_and_release() -> None:
    deposit = vectors("deposit")
    sealed, release = deposit["capsule"], deposit["release"]
    Y, secret, box = (bytes.fromhex(each) for each in (sealed["Y"], deposit["secret"], sealed["box"]))
    hashed = bytes.fromhex(deposit["manifest_hash"])
    bound = label(Y, bytes.fromhex(deposit["deposit_id"]), bytes.fromhex(deposit["case_id"]), hashed)
    assert bound.hex() == sealed["label"]
    ciphertext = encrypt(Y, bound, secret, bytes.fromhex(sealed["rnd"]))
    assert ciphertext.hex() == sealed["ciphertext"]
    assert public_part(ciphertext).hex() == sealed["public"]
    assert box_of(ciphertext) == box
    assert admit(Y, bound, public_part(ciphertext), box).ct_hash.hex() == sealed["ct_hash"]
    record = parse_record(bytes.fromhex(release["record"]))
    asked = begin_release(record, bound, public_part(ciphertext), bytes.fromhex(release["request"]))
    parts = [bytes.fromhex(each) for each in release["contributions"]]
    opened = open_capsule(asked, parts, sk=bytes.fromhex(release["sk"]), box=box)
    assert opened.hex() == release["secret"] == deposit["secret"]
    assert Identity(opened).format() == release["identity"]


def test_the_proof_file_as_the_page_says() -> None:
    found = vectors("proof")
    trust = parse_trust(found["trust"]["alone"]["text"])  # 1
    assert trust.sha256.hex() == found["trust"]["alone"]["sha256"]
    proof: Any = parse_json(found["proof"], what="the proof", max_bytes=1 << 22)  # 2
    keys = ["format", "statement", "disclosures", "leaf", "tlog_proof", "manifest", "signers", "anchors"]
    assert list(proof) == keys
    assert (proof["format"], proof["anchors"]) == ("muniment-proof/v1", [])
    replay = Replay(origin=trust.origin, genesis=trust.genesis)
    check_genesis(trust, parse_statement(proof["signers"][0]["statement"]))
    places = []
    for shown in (*proof["signers"], proof):
        proven = Proof.parse(shown["tlog_proof"]).verify(trust.policy, leaf_hash(shown["leaf"].encode()))  # 3, 4
        assert not proven.unknown_lines
        assert proven.quorum_met
        assert parse_leaf(shown["leaf"]).digest == hashlib.sha256(shown["statement"].encode()).digest()
        places.append(proven.index)
    assert places == [*found["signers"], found["index"]] == sorted(set(places))
    for index, shown in zip(places, proof["signers"], strict=False):  # 5
        replay.add(Entry(index=index, leaf=shown["leaf"], statement=shown["statement"]))
    statement = parse_statement(proof["statement"])  # 6
    with pytest.raises(Mismatch) as caught:
        replay.add(Entry(index=places[-1], leaf=proof["leaf"], statement=proof["statement"]))
    # The signer and his signature pass; the case and its panel are not in the file.
    assert "no case" in caught.value.message
    claims: Any = statement.claims
    assert manifest_hash(proof["manifest"]) == claims.manifest_hash  # 7
    items = parse_manifest(proof["manifest"]).items
    named = [parse_named_disclosure(each, "a disclosure") for each in proof["disclosures"]]  # 8
    assert len({(each.item, each.slot) for each in named}) == len(named) == 12
    digests = []
    for each in named:
        committed = getattr(claims.slots if each.item is None else items[each.item].slots, each.slot)
        value = open_disclosure(each.disclosure, committed, each.slot)
        if each.slot == "sha256":
            digests.append(value)
    plain = [bytes.fromhex(item["plain"]) for item in vectors("deposit")["items"][1:]]
    assert digests == [hashlib.sha256(each).hexdigest() for each in plain]  # 9
    demanding = parse_trust(found["trust"]["witnessed"]["text"])  # 10
    assert not Proof.parse(proof["tlog_proof"]).verify(demanding.policy, leaf_hash(proof["leaf"].encode())).quorum_met


def test_the_proof_file_verifies() -> None:
    found = vectors("proof")
    data = found["proof"].encode()
    verdict = check_proof(data, parse_trust(found["trust"]["alone"]["text"]))
    assert (verdict.outcome, verdict.level, verdict.index) == (Outcome.VERIFIED, Level.RECEIVED, found["index"])
    demanding = check_proof(data, parse_trust(found["trust"]["witnessed"]["text"]))
    assert demanding.failed is not None
    assert (demanding.outcome.exit_code, demanding.failed.code) == (3, "quorum_missing")


@pytest.mark.parametrize("case", vectors("proof")["changed"], ids=lambda case: case["why"])
def test_a_changed_proof_file_fails_at_its_check(case: Any) -> None:
    found = vectors("proof")
    assert found["proof"].count(case["from"]) == 1
    data = found["proof"].replace(case["from"], case["to"]).encode()
    verdict = check_proof(data, parse_trust(found["trust"]["alone"]["text"]))
    assert verdict.failed is not None
    assert verdict.outcome.exit_code == case["exit"]
    assert (verdict.failed.number, verdict.failed.code) == (case["check"], case["code"])
