"""The checks of a proof file, in this order; the first that fails decides.

 1 the file is a proof file, byte for byte in canonical form
 2 the deposit statement: well formed, a deposit, for the ledger of the trust file
 3 its leaf: names this statement's digest, and is of the right form
 4 its place: the leaf is in a checkpoint that the trust file's log signed, and every known cosignature verifies
 5 all signature lines are of keys that the trust file knows (`lenient` lets others pass, as C2SP allows)
 6 the quorum of the trust file is met
 7 who signed: from the pinned genesis to the depositor's key, each statement at its place on the same ledger (checks 3
   to 6 for each), decided again by the rules, in ledger order, before the deposit, with times that never decrease;
   the genesis names the authority and the log of the trust file
 8 the signature of the deposit, by that key, in its time of validity
 9 the manifest is the one that the statement names
10 every disclosure opens its slot, and sizes agree with the sealed lengths
11 the anchors hold, and agree with the times (app.verify.anchors)
12 each file is one of the items, by SHA-256
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from app.canonical import hex_decode
from app.errors import AppError, BadInput, CannotTell, Mismatch
from app.rules.aggregates import KeyHolder, Person
from app.rules.decide import CLOCK_SKEW
from app.rules.identities import binding_of
from app.rules.replay import Entry, Replay, check_time
from app.sealing.manifest import Manifest, manifest_hash, parse_manifest
from app.sealing.segments import item_length
from app.statements.disclosure import NamedDisclosure, open_disclosure
from app.statements.kinds import Deposit, Genesis, leaf_kind
from app.statements.proofanchor import parse_anchor
from app.statements.prooffile import ProofFile, Proven, parse_proof_file
from app.statements.statement import Leaf, Statement, parse_leaf, parse_statement, verify_signature
from app.statements.trust import Trust, check_founders
from app.verify.anchors import Context, can_judge, judge
from app.verify.bracket import bracket_of
from app.verify.verdict import BoundIdentity, Check, CheckedAnchor, CheckedFile, DisclosedItem, Level, Outcome, Verdict
from ledger.anchors.headers import Chain
from ledger.errors import LedgerError
from ledger.merkle import leaf_hash
from ledger.note import Note
from ledger.policy import NO_QUORUM
from ledger.proof import Proof, VerifiedProof

_BLOCK_BYTES = 1 << 20
_TAMPERED = "Ask the depositor or the registry for the original proof; keep this one."


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """A file to compare: what it is called here, and its SHA-256 (32 bytes)."""

    path: str
    sha256: bytes


def hash_file(path: Path) -> FileDigest:
    """Read a file once, in constant memory. Raises BadInput (missing, unreadable)."""
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    except FileNotFoundError:
        raise BadInput(f"there is no file {path}", "Check the path.", code="missing") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", "Check the path.", code="unreadable") from error
    return FileDigest(path=str(path), sha256=digest.digest())


def read_whole(path: Path, most: int) -> bytes:
    """Read a file of at most `most` bytes. Raises BadInput (missing, unreadable, too_large)."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise BadInput(f"there is no file {path}", "Check the path.", code="missing") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", "Check the path.", code="unreadable") from error
    if len(data) > most:
        raise BadInput(f"{path} has more than {most} bytes", "Name the right file.", code="too_large")
    return data


def check_proof(
    data: bytes,
    trust: Trust,
    files: Sequence[FileDigest] = (),
    *,
    lenient: bool = False,
    now: int | None = None,
    chain: Chain | None = None,
) -> Verdict:
    """Make all checks; never raises for what the proof says, however hostile it is.

    `now` (Unix seconds): which time-stamp certificates have ended; None: that is not looked at. `chain`: headers of the
    verifier's own that were checked from the trust file's checkpoint on, where they go beyond those that it carries.
    """
    verdict = Verdict(trust_sha256=trust.sha256.hex(), origin=trust.origin)
    _Run(verdict, trust, lenient, now, chain).run(data, files)
    return verdict


class _Run:
    """One verification. Each step returns the sentence that is shown when it holds."""

    def __init__(self, verdict: Verdict, trust: Trust, lenient: bool, now: int | None, chain: Chain | None) -> None:
        self.verdict, self.trust, self.lenient, self.now, self.chain = verdict, trust, lenient, now, chain
        self.roots: dict[int, bytes] = {}
        self.proof: ProofFile
        self.statement: Statement
        self.claims: Deposit
        self.leaf: Leaf
        self.place: VerifiedProof
        self.person: Person
        self.genesis: Genesis
        self.manifest: Manifest

    def run(self, data: bytes, files: Sequence[FileDigest]) -> None:
        steps: list[tuple[str, Callable[[], str]]] = [
            ("the file's form", lambda: self._form(data)),
            ("the deposit statement", self._statement),
            ("its leaf", self._leaf),
            ("its place on the ledger", self._place),
            ("known signature lines", self._lines),
            ("the quorum", self._quorum),
            ("who signed", self._signers),
            ("the signature", self._signature),
            ("the manifest", self._manifest),
            ("the disclosures", self._disclosures),
            ("the anchors", self._anchors),
            ("the files", lambda: self._files(files)),
        ]
        for number, (name, step) in enumerate(steps, 1):
            try:
                detail = step()
            except (AppError, LedgerError) as error:
                self.verdict.checks.append(
                    Check(
                        number=number,
                        name=name,
                        passed=False,
                        detail=error.message,
                        code=error.code,
                        next_step=error.next_step or _TAMPERED,
                    )
                )
                unknown = isinstance(error, CannotTell)
                self.verdict.outcome = Outcome.UNKNOWN if unknown else Outcome.MISMATCH
                return
            self.verdict.checks.append(Check(number=number, name=name, passed=True, detail=detail))
        self.verdict.outcome = Outcome.VERIFIED

    def _form(self, data: bytes) -> str:
        self.proof = parse_proof_file(data)
        return f"{len(data)} bytes in canonical form"

    def _statement(self) -> str:
        statement = parse_statement(self.proof.deposit.statement)
        if not isinstance(statement.claims, Deposit):
            raise Mismatch(f"the statement is a {statement.kind}, not a deposit", _TAMPERED, code="not_a_deposit")
        if statement.envelope.aud != self.trust.origin:
            raise CannotTell(
                f"the deposit is on the ledger {statement.envelope.aud!r}, and the trust file is for "
                f"{self.trust.origin!r}",
                "Verify with the trust file of the registry that holds the deposit.",
                code="other_ledger",
            )
        self.statement, self.claims = statement, statement.claims
        self.verdict.statement = statement.digest.hex()
        self.verdict.deposit_id, self.verdict.case_id = self.claims.deposit_id.hex(), self.claims.case_id.hex()
        return f"deposit {self.verdict.deposit_id}, statement {self.verdict.statement}"

    def _leaf(self) -> str:
        self.leaf = _leaf_for(self.statement, self.proof.deposit.leaf, "the deposit")
        return f"admitted at {self.leaf.time} (Unix time, by the registry's clock)"

    def _place(self) -> str:
        self.place = self._placed(self.proof.deposit, "the deposit")
        verdict, checkpoint = self.verdict, self.place.checkpoint
        verdict.index, verdict.time, verdict.size = self.place.index, self.leaf.time, checkpoint.size
        verdict.witnesses = [each.witness for each in self.place.cosigners]
        verdict.level = Level.RECEIVED
        return f"entry {self.place.index} of {checkpoint.size} under the root {checkpoint.root.hex()}"

    def _lines(self) -> str:
        self._known(self.place, "the deposit")
        return "every line is of a key in the trust file" if not self.lenient else "unknown lines were ignored"

    def _quorum(self) -> str:
        self._met(self.place, "the deposit")
        if self.trust.policy.quorum == NO_QUORUM:
            return "the trust file asks for no witness"
        self.verdict.level = Level.WITNESSED
        return f"cosigned by {', '.join(self.verdict.witnesses)}"

    def _signers(self) -> str:
        replay = Replay(origin=self.trust.origin, genesis=self.trust.genesis)
        last = time = -1
        for number, proven in enumerate(self.proof.signers):
            what = f"signer {number}"
            statement = parse_statement(proven.statement)
            place, leaf = self._entry(proven, what, statement)
            time = leaf.time
            if not last < place.index < self.place.index:
                raise Mismatch(
                    f"{what} stands at index {place.index}, which is not after {last} and before {self.place.index}",
                    _TAMPERED,
                    code="out_of_order",
                )
            last = place.index
            replay.add(Entry(index=place.index, leaf=proven.leaf, statement=proven.statement))
            if number == 0:
                check_founders(self.trust, statement)
                assert isinstance(statement.claims, Genesis)  # noqa: S101 - the replay takes nothing else first
                self.genesis = statement.claims
        check_time(self.leaf.time, time, "the deposit")
        holder = replay.view.find(KeyHolder, self.statement.kid)
        person = replay.view.find(Person, holder.member) if holder is not None and holder.member else None
        if holder is None or person is None or holder.retired or not person.active:
            raise Mismatch(
                f"the statements shown do not make {self.statement.kid} a member's key",
                _TAMPERED,
                code="unknown_signer",
            )
        if person.role != "depositor":
            raise Mismatch(f"the signer is a {person.role}, not a depositor", _TAMPERED, code="wrong_signer")
        self.person = replace(person, key=holder.key)
        self.verdict.depositor, self.verdict.depositor_name = person.id, person.name
        bound = binding_of(replay.view, person, self.leaf.time)
        if bound is not None:
            self.verdict.identity = BoundIdentity(
                subject=bound.subject,
                issuer=bound.issuer,
                root=bound.root,
                sha256=bound.certificate.hex(),
                index=bound.index,
            )
        return f"{person.name}, enrolled at index {person.index}; {len(self.proof.signers)} statements from the genesis"

    def _signature(self) -> str:
        verify_signature(self.statement, self.person.key)
        envelope = self.statement.envelope
        if not envelope.iat - CLOCK_SKEW <= self.leaf.time < envelope.exp:
            raise Mismatch(
                f"the statement was valid from {envelope.iat} to {envelope.exp}, and the leaf says {self.leaf.time}",
                _TAMPERED,
                code="bad_validity",
            )
        return f"by the key {self.statement.kid}"

    def _manifest(self) -> str:
        found = manifest_hash(self.proof.manifest)
        if found != self.claims.manifest_hash:
            raise Mismatch(
                f"the manifest has the hash {found.hex()}, and the statement names {self.claims.manifest_hash.hex()}",
                _TAMPERED,
                code="manifest_mismatch",
            )
        self.manifest = parse_manifest(self.proof.manifest)
        return f"{len(self.manifest.items) - 1} items and the inventory, {self.manifest.total_bytes} bytes sealed"

    def _disclosures(self) -> str:
        shown: dict[int, DisclosedItem] = {}
        for each in self.proof.disclosures:
            value = open_disclosure(each.disclosure, self._slot(each), _name(each))
            _check_value(each, value)
            if each.item is None:
                if each.slot == "description":
                    self.verdict.description = None if value is None else str(value)
                else:
                    self.verdict.provenance = None if value is None else str(value)
                continue
            if each.slot == "size" and isinstance(value, int):
                length = self.manifest.items[each.item].length
                if item_length(value) != length:
                    raise Mismatch(
                        f"item {each.item} of {value} bytes cannot have a sealed length of {length}",
                        _TAMPERED,
                        code="size_mismatch",
                    )
            item = shown.get(each.item, DisclosedItem(index=each.item))
            if each.slot != "parts":
                changes: dict[str, Any] = {each.slot: value}
                item = replace(item, **changes)
            shown[each.item] = item
        self.verdict.items = [shown[index] for index in sorted(shown)]
        return f"{len(self.proof.disclosures)} open their slots"

    def _anchors(self) -> str:
        parsed = []
        for number, each in enumerate(self.proof.anchors):
            try:
                anchor = parse_anchor(each, f"anchor {number}")
            except CannotTell:
                if not self.lenient:
                    raise
                continue
            if self.lenient and not can_judge(anchor, self.trust):
                continue
            parsed.append(anchor)
        judged = judge(parsed, self._anchor_context()) if parsed else ()
        bracket = bracket_of(judged, self.trust, now=self.now)
        self.verdict.bracket, self.verdict.level = bracket, bracket.growth.level
        self.verdict.anchors = [
            CheckedAnchor(
                form="opentimestamps" if each.token is None else "rfc3161",
                by=each.by,
                covers=each.covers,
                index=each.index,
                size=each.size,
                earliest=each.earliest,
                latest=each.latest,
                place=None if each.block is None else each.block.place.value,
                block=None if each.block is None else each.block.hash,
                ends=None if each.token is None else each.token.ends,
            )
            for each in judged
        ]
        if not self.proof.anchors:
            return "none in the file"
        covering = sum(each.covers for each in judged)
        return f"{covering} over the deposit, {len(judged) - covering} from before it"

    def _anchor_context(self) -> Context:
        trusted = self.trust.headers
        chain = None if trusted is None else trusted.chain
        if self.chain is not None and (chain is None or self.chain.tip > chain.tip):
            chain = self.chain
        return Context(
            trust=self.trust,
            chain=chain,
            genesis=self.genesis,
            index=self.place.index,
            leaf=self.leaf,
            leaf_text=self.proof.deposit.leaf,
            place=self._entry,
            note_root=self._same_root,
        )

    def _entry(self, proven: Proven, what: str, statement: Statement) -> tuple[VerifiedProof, Leaf]:
        """The place and leaf of another entry of the file, with the checks that the deposit's own passes."""
        leaf = _leaf_for(statement, proven.leaf, what)
        place = self._placed(proven, what)
        self._known(place, what)
        self._met(place, what)
        return place, leaf

    def _files(self, files: Sequence[FileDigest]) -> str:
        if not files:
            return "none given"
        declared: dict[str, list[int]] = {}
        for item in self.verdict.items:
            if item.sha256 is not None:
                declared.setdefault(item.sha256, []).append(item.index)
        if not declared:
            raise CannotTell(
                "the proof discloses no SHA-256 of an item, so no file can be compared",
                "Ask the depositor for a proof that discloses sha256.",
                code="not_disclosed",
            )
        for file in files:
            items = tuple(declared.get(file.sha256.hex(), ()))
            self.verdict.files.append(CheckedFile(path=file.path, sha256=file.sha256.hex(), items=items))
        strangers = [each for each in self.verdict.files if not each.items]
        if strangers:
            names = ", ".join(f"{each.path} (SHA-256 {each.sha256})" for each in strangers)
            raise Mismatch(
                f"not among the {len(declared)} disclosed digests of this deposit: {names}",
                "Look for the file as it was deposited: any change, also re-saving it, makes another file.",
                code="file_differs",
            )
        return "; ".join(
            f"{each.path} is item {' and '.join(str(index) for index in each.items)}" for each in self.verdict.files
        )

    # Shared by the deposit and its signers

    def _placed(self, proven: Proven, what: str) -> VerifiedProof:
        proof = Proof.parse(proven.tlog_proof, allow_extra=self.lenient)
        note = Note.parse(proof.checkpoint)
        if not any(line.names(log.key) for line in note.signatures for log in self.trust.policy.logs):
            raise CannotTell(
                f"{what}: the checkpoint is signed by {', '.join(line.name for line in note.signatures)}, and not by "
                "the log of the trust file",
                "Verify with the trust file of the registry that holds the deposit.",
                code="other_ledger",
            )
        place = proof.verify(self.trust.policy, leaf_hash(proven.leaf.encode("utf-8")))
        checkpoint = place.checkpoint
        if checkpoint.extensions:
            raise Mismatch(f"{what}: the checkpoint has extension lines", _TAMPERED, code="malformed")
        self._same_root(checkpoint.size, checkpoint.root)
        return place

    def _same_root(self, size: int, root: bytes) -> None:
        if self.roots.setdefault(size, root) != root:
            raise Mismatch(
                f"two roots of size {size}, both signed by the log",
                "This proves a fork. Keep the file; tell the authority and the witnesses.",
                code="forked",
            )

    def _known(self, place: VerifiedProof, what: str) -> None:
        if place.unknown_lines and not self.lenient:
            names = ", ".join(f"{line.name} ({line.key_id.hex()})" for line in place.unknown_lines)
            raise CannotTell(
                f"{what}: the checkpoint has signature lines of keys that the trust file does not know: {names}",
                "Ask for a proof made for your trust file (muniment proof --trust), or use --lenient.",
                code="unknown_signature_line",
            )

    def _met(self, place: VerifiedProof, what: str) -> None:
        if not place.quorum_met:
            who = ", ".join(each.witness for each in place.cosigners) or "no witness"
            raise CannotTell(
                f"{what}: the checkpoint of size {place.checkpoint.size} is cosigned by {who} of the trust file, "
                "fewer than its quorum",
                "Ask the registry for a proof with more cosignatures.",
                code="quorum_missing",
            )

    def _slot(self, each: NamedDisclosure) -> str:
        if each.item is None:
            return str(getattr(self.claims.slots, each.slot))
        slots = self.manifest.items[each.item].slots if each.item < len(self.manifest.items) else None
        if slots is None:
            raise Mismatch(f"the manifest has no item {each.item}", _TAMPERED, code="disclosure_mismatch")
        return str(getattr(slots, each.slot))


def _leaf_for(statement: Statement, text: str, what: str) -> Leaf:
    leaf = parse_leaf(text)
    if leaf.digest != statement.digest or leaf.kind != leaf_kind(statement.kind, statement.claims):
        raise Mismatch(
            f"{what}: the leaf is of the {leaf.kind} statement {leaf.digest.hex()}, not of {statement.digest.hex()}",
            _TAMPERED,
            code="leaf_mismatch",
        )
    return leaf


def _name(each: NamedDisclosure) -> str:
    return f"{each.slot} of {'the deposit' if each.item is None else f'item {each.item}'}"


def _check_value(each: NamedDisclosure, value: str | int | None) -> None:
    if each.slot == "size":
        good = isinstance(value, int) and value >= 0
    elif each.slot == "sha256":
        good = isinstance(value, str)
        if isinstance(value, str):
            hex_decode(value, _name(each), 32)
    elif each.slot == "parts":
        good = value is None
    elif each.slot in ("name", "type"):
        good = isinstance(value, str)
    else:
        good = value is None or isinstance(value, str)
    if not good:
        _bad_value(each)


def _bad_value(each: NamedDisclosure) -> NoReturn:
    raise Mismatch(
        f"{_name(each)}: the disclosed value has the wrong type",
        "The depositor's client wrote it; keep the file.",
        code="bad_disclosure",
    )
