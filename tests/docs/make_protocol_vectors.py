"""Writes tests/vectors/protocol/*.json: `python -m tests.docs.make_protocol_vectors`. Fixed seeds, real code.

The tests read the files and compute everything again from the inputs in them; they do not run this.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.canonical import b64u_encode, format_json, parse_json
from app.errors import AppError
from app.fields import write_record
from app.panels.capsule import box_of, check_public, label, public_part
from app.panels.deal import deal_statement
from app.panels.group import dec_elem, dec_scalar, scalar
from app.panels.hashing import H2S, u16
from app.panels.header import Kind, make_header
from app.panels.making.blame import make_blame
from app.panels.making.capsule import encrypt
from app.panels.making.opening import open_capsule
from app.panels.making.proof import prove
from app.panels.making.signature import signed
from app.panels.request import begin_release
from app.panels.session import verify_session
from app.rules.act import Circumstances
from app.rules.decide import Refusal, decide
from app.sealing.age import encrypt_bytes
from app.sealing.hybrid import PqIdentity
from app.sealing.inventory import InventoryItem, format_inventory, make_inventory
from app.sealing.keys import ItemKeys
from app.sealing.manifest import Manifest, format_manifest, manifest_hash, manifest_item
from app.sealing.stream import encrypt_chunks
from app.sealing.x25519 import Identity
from app.statements.disclosure import make_disclosure, slot_of
from app.statements.keys import jwk_of, thumbprint
from app.statements.kinds import (
    DEFAULT_RULES,
    Approval,
    Authority,
    Capsule,
    CaseAssign,
    CaseOpen,
    CaseRecuse,
    Deposit,
    DepositSlots,
    HoldLift,
    HoldPlace,
    MemberKey,
    MemberRevoke,
    PanelAck,
    PanelBlame,
    PanelClose,
    PanelDeal,
    PanelOpen,
    ReleaseDecision,
    ReleaseObjection,
    ReleaseWithdraw,
    RetentionExtend,
    is_public,
)
from app.statements.statement import EMPTY_SEEN, Seen, Statement, parse_statement
from app.statements.trust import format_trust, parse_trust
from app.verify.proof import check_proof
from ledger.batch import batch_id, next_batch
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.cosignature import Ed25519Cosigner
from ledger.merkle import (
    EMPTY_FRONTIER,
    consistency_path,
    inclusion_path,
    leaf_hash,
    range_root,
    root_of,
)
from ledger.note import Note, NoteSigner
from ledger.proof import Proof
from ledger.tiles import Bundle, Tile, encode_bundle
from tests.app.rules import world as worlds
from tests.app.rules.world import (
    ORIGIN,
    Ceremony,
    Deposited,
    Release,
    founded,
    fresh,
    scalar_of,
    seed,
)

FOLDER = Path(__file__).parent.parent / "vectors" / "protocol"
NOTES_IDENTITY = PqIdentity(seed("notes"))
STEP_SECONDS = 7


class Draw:
    """Bytes from a name and a counter, in place of the operating system's generator."""

    def __init__(self, name: str) -> None:
        self.name, self.count = name, 0

    def __call__(self, size: int) -> bytes:
        self.count += 1
        return hashlib.shake_256(f"{self.name} {self.count}".encode()).digest(size)


def encodings() -> dict[str, Any]:
    """Canonical JSON, keys, slots."""
    refused = [
        ('{"a":1,"a":1}', "an object with one key twice"),
        ('{"a": 1}', "a space"),
        ('{"a":1.0}', "a number with a fraction"),
        ('{"a":1e3}', "an exponent"),
        ('{"a":-0}', "minus zero"),
        ('{"a":9007199254740992}', "2^53"),
        ('{"a":NaN}', "not a number"),
        ('"\\u0041"', "an escape that is not needed"),
        ('"\\/"', "an escape that is not needed"),
        ('"\\u000A"', "an upper-case escape where there is a short one"),
        ('"\\ud800"', "a lone surrogate"),
        ("[" * 17 + "]" * 17, "seventeen levels"),
        ("[1]\n", "a final newline"),
        ("\ufeff[1]", "a byte order mark"),
        ("[1", "not closed"),
    ]
    cases = []
    for text, why in refused:
        try:
            parse_json(text, what="a text", max_bytes=1000)
        except AppError as error:
            cases.append({"hex": text.encode("utf-8").hex(), "why": why, "code": error.code})
    assert len(cases) == len(refused)
    values: list[Any] = [None, [], {}, {"b": 1, "a": [True, False]}, 'é"\\/\b\n\x01\u2028😀', -(2**53) + 1]
    keys = []
    for name in ("registrar", "lawyer1"):
        public = Ed25519PrivateKey.from_private_bytes(seed(name)).public_key().public_bytes_raw()
        keys.append({"seed": seed(name).hex(), "jwk": jwk_of(public), "thumbprint": thumbprint(public)})
    slots = []
    for value in ("scan-0001.png", 4096, None):
        salt = fresh(f"salt {value}")
        disclosure = make_disclosure(value, salt)
        slots.append({"salt": salt.hex(), "value": value, "disclosure": disclosure, "slot": slot_of(disclosure)})
    return {
        "canonical": [{"value": value, "hex": format_json(value).encode().hex()} for value in values],
        "refused": cases,
        "keys": keys,
        "slots": slots,
    }


def bad_deal(ceremony: Ceremony, judge: str, receiver: int) -> bytes:
    """The judge's deal with one encrypted share changed, its proof and signature made anew."""
    good, header_k = ceremony.deal(judge).deal, ceremony.k
    session = verify_session(ceremony.header)
    index, h, drawn = ceremony.judges.index(judge) + 1, dec_scalar(ceremony.he(judge)), fresh(f"deal {judge}", 32)
    at = 68 + 32 * header_k + 32 * (receiver - 1)
    changed = bytes(dec_scalar(good[at : at + 32], zero_allowed=True) + scalar(1))
    proven = good[:at] + changed + good[at + 32 : -160]
    a_0 = H2S("deal-coef", h, drawn, session.session, u16(index), u16(0))
    p = H2S("deal-ephemeral", h, drawn, session.session, u16(index))
    said = deal_statement(dec_elem(good[68:100]), dec_elem(good[36:68]), proven)
    return signed(ceremony.host(judge), "deal", proven + prove(said, [a_0, p], drawn))


class Story:
    """A registry from its genesis to an opening, with every kind of statement; and statements that are refused."""

    def __init__(self) -> None:
        self.refusals: list[dict[str, Any]] = []
        self.world = founded()
        self.who: list[str] = ["registrar"]
        self.count_time()
        self._members()
        self._panels()
        self._deposit()
        self._release()

    def count_time(self) -> None:
        """From now on every statement that is offered takes some time."""
        world, offer = self.world, self.world.offer

        def noted(statement: Statement) -> Any:
            verdict = offer(statement)
            world.now += STEP_SECONDS
            return verdict

        world.offer = noted  # type: ignore[method-assign]

    def refuse(self, why: str, name: str, claims: Any, **changes: Any) -> None:
        statement = self.world.sign(name, claims, **changes)
        self.refuse_statement(why, statement)

    def refuse_statement(self, why: str, statement: Statement) -> None:
        world = self.world
        assert world.genesis is not None
        index = len(world.entries)
        verdict = decide(
            world.view,
            statement,
            Circumstances(
                now=world.now,
                index=index,
                origin=ORIGIN,
                genesis=world.genesis.digest,
                seen=world.facts(statement.envelope.seen.size, index),
            ),
        )
        assert isinstance(verdict, Refusal), why
        self.refusals.append(
            {"after": index, "now": world.now, "why": why, "statement": statement.text, "code": verdict.code}
        )

    def _members(self) -> None:
        world = self.world
        assert world.genesis is not None
        self.refuse("a second genesis", "registrar", world.genesis.claims, seen=EMPTY_SEEN)
        world.enrol("clerk", "clerk")
        for name, role in (("lawyer1", "depositor"), ("lawyer2", "party"), ("lawyer3", "party")):
            world.enrol(name, role)  # type: ignore[arg-type]
        person = world.enrolment("nobody", "party")
        self.refuse("a key that was never enrolled signs", "nobody", person)
        self.refuse("a clerk enrols", "clerk", person)
        self.refuse("another ledger's statement", "registrar", person, aud="ledger.example/other")
        self.refuse("expired", "registrar", person, iat=world.now - 3600, exp=world.now)
        self.refuse("dated ahead", "registrar", person, iat=world.now + 301, exp=world.now + 3600)
        self.refuse("valid for too long", "registrar", person, exp=world.now + 400 * 86400 + 1)
        self.refuse("a root that this ledger never had", "registrar", person, seen=Seen(size=3, root=bytes(32)))
        self.refuse("a size that this ledger has not reached", "registrar", person, seen=Seen(size=999, root=bytes(32)))
        self.refuse("a key in use", "registrar", world.enrolment("lawyer2", "party"))
        text = world.sign("registrar", person).text
        at = text.rindex(".") + 2
        flipped = text[:at] + ("B" if text[at] == "A" else "A") + text[at + 1 :]
        self.refuse_statement("a changed signature", parse_statement(flipped))
        second = world.signer("lawyer1-second")
        new_key = MemberKey(
            member=world.id("lawyer1"), role="depositor", key=second.public, notes=NOTES_IDENTITY.recipient.format()
        )
        world.do("lawyer1", new_key)
        self.refuse("a retired key signs", "lawyer1", person)
        world.do("registrar", MemberRevoke(member=world.id("lawyer3"), role="party"))
        for judge in worlds.JUDGES:
            world.enrol(judge, "judge")
        self.refuse("approval of an unknown act", "authority1", Approval(act=bytes(32)))

    def _panels(self) -> None:
        world = self.world
        blamed = Ceremony(world=world, judges=worlds.JUDGES, k=2, panel_id=fresh("blamed panel", 32))
        blamed.propose()
        blamed.give_cards()
        world.approve(world.do("registrar", blamed.roster()))
        world.do("registrar", blamed.open())
        world.do("judge1", PanelDeal(deal=bad_deal(blamed, "judge1", 2)))
        for judge in ("judge2", "judge3"):
            world.do(judge, blamed.deal(judge))
        blame = make_blame(
            self._closed(blamed),
            dealer=1,
            judge=2,
            he=blamed.he("judge2"),
            host_seed=blamed.host("judge2"),
            rnd=fresh("blame", 32),
            upheld=(),
        )
        world.do("judge2", PanelBlame(blame=blame))
        ceremony = self.ceremony = Ceremony(world=world, judges=worlds.JUDGES, k=2)
        ceremony.propose()
        ceremony.give_cards()
        self.refuse("opened before the roster was approved", "registrar", ceremony.open())
        world.approve(world.do("registrar", ceremony.roster()))
        first = make_header(
            kind=Kind.KEY_GENERATION,
            panel_id=ceremony.panel_id,
            epoch=1,
            k=2,
            n=3,
            nonce=fresh("first nonce", 32),
            prev_epoch_id=bytes(32),
            barred=(),
            cards=ceremony.raw_cards(),
        )
        world.do("registrar", PanelOpen(header=first))
        self.refuse("a second session beside an open one", "registrar", ceremony.open())
        world.do("registrar", PanelClose(session=verify_session(first).session))
        world.do("registrar", ceremony.open())
        for judge in ceremony.judges:
            world.do(judge, ceremony.deal(judge))
        self.refuse("another judge's message", "judge2", ceremony.ack("judge1"))
        self.refuse("a dealer after the set was closed", "judge1", ceremony.deal("judge1"))
        forged = ceremony.ack("judge1").ack[:-1] + bytes([ceremony.ack("judge1").ack[-1] ^ 1])
        self.refuse("an acknowledgement that its host key did not sign", "judge1", PanelAck(ack=forged))
        for judge in ceremony.judges:
            world.do(judge, ceremony.ack(judge))

    def _closed(self, ceremony: Ceremony) -> Any:
        from app.panels.closing import close_deals

        deals = [bad_deal(ceremony, "judge1", 2), *(ceremony.deal(judge).deal for judge in ceremony.judges[1:])]
        return close_deals(verify_session(ceremony.header), deals)

    def _deposit(self) -> None:
        world, ceremony = self.world, self.ceremony
        self.note = kept_note()
        case_id = self.case_id = fresh("case")
        self.refuse("an unknown case", "clerk", CaseAssign(case_id=case_id, panel_id=bytes(32), presiding="A" * 43))
        world.do("clerk", CaseOpen(case_id=case_id, note=bytes.fromhex(self.note["sha256"])))
        rules = replace(DEFAULT_RULES, notice_seconds=DEFAULT_RULES.request_seconds)
        self.refuse("a notice that outlasts the request", "clerk", CaseOpen(case_id=fresh("c"), rules=rules, note=None))
        self.refuse("a case id in use", "clerk", CaseOpen(case_id=case_id, note=None))
        for party in ("lawyer1", "lawyer2"):
            world.do("clerk", worlds.CaseParty(case_id=case_id, member=world.id(party), note=None))
        record = ceremony.closed().record
        self.deposit, claims = sealed_deposit(bytes(record.Y), record.epoch_id, ceremony.panel_id, case_id)
        self.refuse("a panel that is not assigned", "lawyer1-second", claims)
        world.do("clerk", CaseAssign(case_id=case_id, panel_id=ceremony.panel_id, presiding=world.id("judge1")))
        self.refuse("a party who is no depositor", "lawyer2", claims)
        public = bytearray(claims.capsules[0].public)
        public[-1] ^= 1
        fields = {**write_record(claims.capsules[0]), "public": b64u_encode(bytes(public))}
        from app.fields import read_record

        forged = read_record(Deposit, {**write_record(claims), "capsules": [fields]}, "forged")
        self.refuse("a capsule whose box hash was changed", "lawyer1-second", forged)
        self.deposited = world.do("lawyer1-second", claims)
        self.refuse("a deposit id in use", "lawyer1-second", claims)
        made = self.deposit
        self.made = Deposited(
            claims=claims, secret=bytes.fromhex(made["secret"]), box=bytes.fromhex(made["capsule"]["box"])
        )

    def _release(self) -> None:
        world, ceremony = self.world, self.ceremony
        release = Release(world=world, ceremony=ceremony, case_id=self.case_id, deposit=self.made)
        self.refuse("an order of a judge who does not preside", "judge2", release.order_claims())
        release.order = world.do("judge1", release.order_claims())
        asked = world.do("lawyer2", release.request_claims(release.message(sk="withdrawn")))
        objection = ReleaseObjection(request=asked.digest, note=None)
        self.refuse("an objection to one's own request", "lawyer2", objection)
        world.do("lawyer1-second", objection)
        self.refuse("a second objection", "lawyer1-second", objection)
        self.refuse("a second request while one is open", "lawyer2", release.request_claims())
        world.do("lawyer2", ReleaseWithdraw(request=asked.digest, note=None))
        release.request = world.do("lawyer2", release.request_claims())
        withdrawn = ReleaseDecision(request=asked.digest, decision="refuse", contribution=None, note=None)
        self.refuse("a decision on a withdrawn request", "judge1", withdrawn)
        self.refuse("a request of somebody whom the order does not name", "lawyer1-second", release.request_claims())
        self.refuse("a contribution without its grant", "judge1", release.contribute("judge1"))
        world.do("judge1", release.grant("judge1"))
        self.refuse("a second decision", "judge1", release.refusal())
        world.do("judge2", release.refusal())
        world.do("judge3", release.grant("judge3"))
        world.do("judge1", release.contribute("judge1"))
        self.refuse("an access below k contributions", "service", release.access())
        world.do("judge3", release.contribute("judge3"))
        self.refuse("an access that the service did not sign", "registrar", release.access())
        world.do("service", release.access())
        world.do("lawyer2", release.opening())
        self.refuse("a second access", "service", release.access())
        world.now += 2 * 3600
        stale = Seen(size=30, root=root_of(leaf_hash(each.leaf.encode()) for each in world.entries[:30]))
        self.refuse("a release statement on what was seen hours ago", "judge2", release.refusal(), seen=stale)
        recusal = CaseRecuse(case_id=release.case_id, judge=world.id("judge3"), note=None)
        self.refuse("a recusal that another judge signs", "judge2", recusal)
        world.do("judge3", recusal)
        self.refuse("a second recusal", "judge3", recusal)
        too_many = replace(recusal, judge=world.id("judge2"))
        self.refuse("a recusal after which fewer than k would remain", "judge2", too_many)
        self._holds()
        assert release.request is not None
        parts = [release.contribution("judge1"), release.contribution("judge3")]
        public = self.made.claims.capsules[0].public
        record = ceremony.closed().record
        bound = label(bytes(record.Y), self.made.claims.deposit_id, self.case_id, self.made.claims.manifest_hash)
        begun = begin_release(record, bound, public, release.request.claims.request)  # type: ignore[union-attr]
        secret = open_capsule(begun, parts, sk=scalar_of("sk"), box=self.made.box)
        assert secret == self.made.secret
        self.deposit["release"] = {
            "record": record.encoded.hex(),
            "request": release.request.claims.request.hex(),  # type: ignore[union-attr]
            "sk": scalar_of("sk").hex(),
            "contributions": [part.hex() for part in parts],
            "secret": secret.hex(),
            "identity": Identity(secret).format(),
        }

    def _holds(self) -> None:
        world, deposit_id = self.world, self.made.claims.deposit_id
        placing = HoldPlace(deposit_id=deposit_id, note=None)
        self.refuse("a hold that a party signs", "lawyer2", placing)
        self.refuse("a hold on a deposit that is not there", "clerk", replace(placing, deposit_id=bytes(16)))
        self.refuse("a hold that a recused judge signs", "judge3", placing)
        hold = world.do("clerk", placing).digest
        other = HoldLift(deposit_id=deposit_id, hold=bytes(32), note=None)
        self.refuse("lifting a hold that does not stand", "judge1", other)
        world.do("judge1", replace(other, hold=hold))
        self.refuse("lifting it again", "judge1", replace(other, hold=hold))
        longer = RetentionExtend(deposit_id=deposit_id, until=world.now + 400 * 86400, note=None)
        world.do("judge2", longer)
        self.refuse("a term that does not grow", "clerk", longer)
        far = replace(longer, until=world.now + 36_526 * 86400)
        self.refuse("a term of more than a hundred years", "clerk", far)

    def to_json(self) -> dict[str, Any]:
        """The story with what a second verifier computes of it."""
        world = self.world
        assert world.genesis is not None
        seeds = {thumbprint(signer.public): (name, seed(name).hex()) for name, signer in world.signers.items()}
        entries = []
        for entry in world.entries:
            statement = parse_statement(entry.statement)
            name, secret = seeds[statement.kid]
            entries.append(
                {
                    "index": entry.index,
                    "kind": statement.kind,
                    "public": is_public(statement.kind, statement.claims),
                    "signer": name,
                    "seed": secret,
                    "envelope": write_record(statement.envelope),
                    "claims": write_record(statement.claims),
                    "statement": statement.text,
                    "digest": statement.digest.hex(),
                    "leaf": entry.leaf,
                    "leaf_hash": leaf_hash(entry.leaf.encode()).hex(),
                }
            )
        return {
            "origin": ORIGIN,
            "genesis": world.genesis.digest.hex(),
            **({"note": self.note} if hasattr(self, "note") else {}),
            "entries": entries,
            "refused": self.refusals,
        }


def kept_note() -> dict[str, str]:
    """A sealed note. Its encapsulation draws from the operating system, so it is made once and kept."""
    path = FOLDER / "history.json"
    if path.exists():
        found: dict[str, str] = json.loads(path.read_text())["note"]
        return found
    content = format_json({"format": "muniment-note/v1", "words": "In re Vector, 1/2027", "disclosures": []})
    file = encrypt_bytes(content.encode(), [NOTES_IDENTITY.recipient], Draw("note"))
    return {
        "identity": NOTES_IDENTITY.format(),
        "file": b64u_encode(file),
        "sha256": hashlib.sha256(file).hexdigest(),
        "content": content,
    }


def sealed_deposit(Y: bytes, epoch_id: bytes, panel_id: bytes, case_id: bytes) -> tuple[dict[str, Any], Deposit]:
    """Two small files sealed, with manifest, inventory and one capsule."""
    deposit_id, secret = fresh("deposit"), seed("deposit's identity")
    recipient = Identity(secret).recipient
    files = [("letter.txt", "text/plain", b"Received on 3 May.\n"), ("empty.bin", "application/octet-stream", b"")]
    inventory = make_inventory(
        deposit_id=deposit_id,
        case_id=case_id,
        items=tuple(
            InventoryItem(name=name, type=kind, size=len(data), sha256=hashlib.sha256(data).digest())
            for name, kind, data in files
        ),
        description="A letter and an empty file",
        origin=None,
        rng=Draw("salts"),
    )
    plain = [format_inventory(inventory).encode(), *(data for _, _, data in files)]
    items, listed = [], []
    for index, data in enumerate(plain):
        keys = ItemKeys.generate(Draw(f"item {index}"))
        sealed = keys.prelude(recipient) + encrypt_chunks(keys.cipher(), data)
        segment = hashlib.sha256(sealed).digest()
        slots = inventory.item_slots(index) if index else None
        listed.append(manifest_item(len(sealed), (segment,), slots))
        items.append(
            {
                "file_key": keys.file_key.hex(),
                "ephemeral": keys.ephemeral.hex(),
                "nonce": keys.nonce.hex(),
                "plain": data.hex(),
                "sealed": sealed.hex(),
                "segment": segment.hex(),
                "root": listed[-1].root.hex(),
            }
        )
    manifest = format_manifest(Manifest(items=tuple(listed)))
    hashed = manifest_hash(manifest)
    bound = label(Y, deposit_id, case_id, hashed)
    rnd = fresh("capsule rnd", 32)
    ciphertext = encrypt(Y, bound, secret, rnd)
    public = public_part(ciphertext)
    capsule = Capsule(
        panel_id=panel_id, epoch_id=epoch_id, y=Y, public=public, ct_hash=check_public(Y, bound, public).ct_hash
    )
    claims = Deposit(
        deposit_id=deposit_id,
        case_id=case_id,
        manifest_hash=hashed,
        capsules=(capsule,),
        slots=DepositSlots(**inventory.deposit_slots()),
        note=None,
    )
    return {
        "deposit_id": deposit_id.hex(),
        "case_id": case_id.hex(),
        "secret": secret.hex(),
        "recipient": recipient.format(),
        "items": items,
        "inventory": plain[0].decode(),
        "manifest": manifest,
        "manifest_hash": hashed.hex(),
        "capsule": {
            "Y": Y.hex(),
            "rnd": rnd.hex(),
            "label": bound.hex(),
            "ciphertext": ciphertext.hex(),
            "public": public.hex(),
            "box": box_of(ciphertext).hex(),
            "ct_hash": capsule.ct_hash.hex(),
        },
    }, claims


def ledger_of(story: Story) -> dict[str, Any]:
    """Tree, checkpoints, proofs, batches and tiles over the story's leaves."""
    entries = [entry.leaf.encode() for entry in story.world.entries]
    hashes = [leaf_hash(entry) for entry in entries]

    def lookup(level: int, index: int) -> bytes:
        if level == 0:
            return hashes[index]
        return range_root(index << level, (index + 1) << level, lambda at, i: _complete(hashes, at, i))

    size = len(entries)
    signer = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(seed("log")))
    witness = Ed25519Cosigner("witness.example/1", Ed25519PrivateKey.from_private_bytes(seed("witness")))
    checkpoint = Checkpoint(origin=ORIGIN, size=size, root=root_of(hashes))
    signed_note = sign_checkpoint(checkpoint, signer)
    line = witness.cosign(checkpoint, story.world.now)
    cosigned = Note(text=checkpoint.body, signatures=(*Note.parse(signed_note).signatures, line)).format()
    frontier = EMPTY_FRONTIER.extend(hashes[:5])
    batch = next_batch(frontier, entries[5:8])
    return {
        "roots": [root_of(hashes[:n]).hex() for n in range(size + 1)],
        "frontier_5": [each.hex() for each in frontier.hashes],
        "inclusion": [
            {"index": i, "size": size, "path": [each.hex() for each in inclusion_path(i, size, lookup)]}
            for i in (0, 5, size - 1)
        ],
        "consistency": [
            {"from": n, "to": size, "path": [each.hex() for each in consistency_path(n, size, lookup)]}
            for n in (1, 6, 8, size)
        ],
        "log_seed": seed("log").hex(),
        "vkey": signer.key.text,
        "checkpoint": signed_note,
        "witness_seed": seed("witness").hex(),
        "witness_vkey": witness.key.text,
        "cosigned_at": story.world.now,
        "cosigned": cosigned,
        "tlog_proof": Proof(index=5, path=inclusion_path(5, size, lookup), checkpoint=signed_note).format(),
        "batch": {"id": batch_id(5), "frontier_size": 5, "entries": [5, 8], "hex": batch.encode().hex()},
        "tiles": {
            Tile(level=0, index=0, width=size).path: b"".join(hashes).hex(),
            Bundle(index=0, width=size).path: encode_bundle(entries).hex(),
        },
        "paths": [
            [0, 0, 256, Tile(level=0, index=0).path],
            [1, 1234, 5, Tile(level=1, index=1234, width=5).path],
            [2, 1234067, 256, Tile(level=2, index=1234067).path],
        ],
    }


def _complete(hashes: list[bytes], level: int, index: int) -> bytes:
    return root_of(hashes[index << level : (index + 1) << level])


def proof_of(story: Story, ledger: dict[str, Any]) -> dict[str, Any]:
    """The proof file of the deposit, with every disclosure, and the trust files to check it with."""
    world = story.world
    hashes = [leaf_hash(entry.leaf.encode()) for entry in world.entries]
    size = len(hashes)

    def shown(index: int) -> dict[str, str]:
        path = inclusion_path(index, size, lambda level, at: _complete(hashes, level, at))
        proof = Proof(index=index, path=path, checkpoint=ledger["checkpoint"])
        entry = world.entries[index]
        return {"statement": entry.statement, "leaf": entry.leaf, "tlog_proof": proof.format()}

    statements = [parse_statement(entry.statement) for entry in world.entries]
    at = next(i for i, each in enumerate(statements) if each.digest == story.deposited.digest)
    person = world.id("lawyer1")
    founding = [0]
    for i, each in enumerate(statements[:at]):
        claims = each.claims
        if getattr(claims, "member", None) == person and each.kind == "member.key":
            founding.append(i)
        if each.kind == "member.enrol" and thumbprint(claims.key) == person:  # type: ignore[union-attr]
            founding.append(i)
    own = shown(at)
    disclosures = json.loads(story.deposit["inventory"])["disclosures"]
    text = format_json(
        {
            "format": "muniment-proof/v1",
            "statement": own["statement"],
            "disclosures": disclosures,
            "leaf": own["leaf"],
            "tlog_proof": own["tlog_proof"],
            "manifest": story.deposit["manifest"],
            "signers": [shown(i) for i in founding],
            "anchors": [],
        }
    )
    keys = Authority(keys=tuple(world.signer(f"authority{i + 1}").public for i in range(3)), m=2)
    assert world.genesis is not None
    policies = {
        "alone": f"log {ledger['vkey']}\nquorum none\n",
        "witnessed": f"log {ledger['vkey']}\nwitness w1 {ledger['witness_vkey']}\nquorum w1\n",
    }
    trust = {
        name: format_trust(origin=ORIGIN, genesis=world.genesis.digest, authority=keys, policy_text=policy)
        for name, policy in policies.items()
    }
    return {
        "trust": {name: {"text": each, "sha256": parse_trust(each).sha256.hex()} for name, each in trust.items()},
        "proof": text,
        "index": at,
        "signers": founding,
        "changed": changed(text, trust["alone"]),
    }


def changed(proof: str, trust: str) -> list[dict[str, Any]]:
    """Changes of the proof file, each `from` standing in it once, with the check that fails then."""
    value = json.loads(proof)
    hidden = next(each["disclosure"] for each in value["disclosures"] if each["slot"] == "size")
    index = value["tlog_proof"].split("\n")[1]
    own = format_json(value["tlog_proof"])[1:-1]
    last = value["statement"][-2]
    cases = [
        ("a space", '"format":"muniment-proof/v1"', '"format": "muniment-proof/v1"'),
        (
            "another digest in the leaf",
            f'"leaf":{format_json(value["leaf"])}',
            '"leaf":' + format_json(_flip(value["leaf"])),
        ),
        ("another index", own, own.replace(index, f"index {int(index.split()[1]) - 1}")),
        (
            "a changed statement",
            value["statement"],
            value["statement"][:-2] + ("A" if last != "A" else "B") + value["statement"][-1],
        ),
        (
            "another disclosure",
            f'{{"item":1,"slot":"size","disclosure":"{hidden}"}}',
            f'{{"item":1,"slot":"size","disclosure":"{make_disclosure(20, fresh("other salt"))}"}}',
        ),
        ("an anchor", '"anchors":[]', '"anchors":[{}]'),
        ("the genesis left out", format_json(value["signers"][0]) + ",", ""),
    ]
    found = []
    for why, before, after in cases:
        assert proof.count(before) == 1, why
        verdict = check_proof(proof.replace(before, after).encode(), parse_trust(trust))
        assert verdict.failed is not None, why
        found.append(
            {
                "why": why,
                "from": before,
                "to": after,
                "exit": verdict.outcome.exit_code,
                "check": verdict.failed.number,
                "code": verdict.failed.code,
            }
        )
    return found


def _flip(leaf: str) -> str:
    return leaf[:-3] + ("0" if leaf[-3] != "0" else "1") + leaf[-2:]


def main() -> None:
    """Write the files."""
    before = worlds.NOTES
    worlds.NOTES = NOTES_IDENTITY.recipient.format()
    try:
        story = Story()
        ledger = ledger_of(story)
        made = {
            "encodings": encodings(),
            "history": story.to_json(),
            "ledger": ledger,
            "deposit": story.deposit,
            "proof": proof_of(story, ledger),
        }
    finally:
        worlds.NOTES = before
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, value in made.items():
        text = json.dumps(value, indent=1, ensure_ascii=True)
        (FOLDER / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
