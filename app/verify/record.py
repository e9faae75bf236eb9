"""The checks of a release record, in this order; the first that fails decides.

1 the file is one, byte for byte in canonical form
2 every entry: its statement, its leaf, its place under the one checkpoint, as the trust file asks, in ledger order
3 everything decided again by the rules, in ledger order, from the pinned genesis, each at its leaf's time: who may ask,
  decide, contribute and open, notice and expiry, recusal and conflict, and that each contribution was granted before
4 the request is among them, and rests on an order of the case for this deposit and this recipient
5 every contribution to it: proven against its judge's public share, for this request and capsule (SPEC 5.2)
6 the stretch: the leaves from the request on lead to the checkpoint's root, none left out between; every entry shown
  there is the one that stands there, and nothing said of judges, clerks and registrars meanwhile is withheld
"""

import hashlib
from collections.abc import Callable

from app.errors import AppError, CannotTell, Mismatch
from app.panels.capsule import label
from app.panels.contribution import verify_contribution
from app.panels.record import parse_record
from app.panels.request import begin_release
from app.rules.aggregates import Case, KeyHolder, Order, Person, Request
from app.rules.cases import case_of, reads_case
from app.rules.decide import Admitted
from app.rules.deposits import deposit_of, epoch_of
from app.rules.erasures import erasures_of
from app.rules.replay import Entry, Replay
from app.rules.terms import is_over, request_of
from app.statements.kinds import (
    Access,
    CaseRecuse,
    Deposit,
    ReleaseContribution,
    ReleaseDecision,
    ReleaseObjection,
    ReleaseOpening,
    ReleaseOrder,
    ReleaseRequest,
    ReleaseWithdraw,
)
from app.statements.recordfile import RecordFile, parse_record_file
from app.statements.statement import Statement, parse_leaf, parse_statement
from app.statements.trust import Trust, check_founders
from app.verify.places import KEEP, Places
from app.verify.recordverdict import Event, RecordVerdict
from app.verify.verdict import Check, Outcome
from ledger.checkpoint import Checkpoint
from ledger.errors import LedgerError
from ledger.merkle import leaf_hash
from ledger.stretch import verify_stretch


def check_record(data: bytes, trust: Trust) -> RecordVerdict:
    """Make all checks; never raises for what the file says, however hostile it is."""
    verdict = RecordVerdict(trust_sha256=trust.sha256.hex(), origin=trust.origin)
    _Run(verdict, trust).run(data)
    return verdict


class _Run:
    """One verification. Each step returns the sentence that is shown when it holds."""

    def __init__(self, verdict: RecordVerdict, trust: Trust) -> None:
        self.verdict, self.trust = verdict, trust
        self.file: RecordFile
        self.checkpoint: Checkpoint
        self.placed: list[tuple[int, str, Statement]] = []
        """(index, leaf text, statement), in ledger order."""
        self.replay: Replay
        self.asked: Request

    def run(self, data: bytes) -> None:
        steps: list[tuple[str, Callable[[], str]]] = [
            ("the file's form", lambda: self._form(data)),
            ("the entries", self._entries),
            ("the rules", self._rules),
            ("the request", self._request),
            ("the contributions", self._contributions),
            ("the stretch", self._stretch),
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
                        next_step=error.next_step or KEEP,
                    )
                )
                self.verdict.outcome = Outcome.UNKNOWN if isinstance(error, CannotTell) else Outcome.MISMATCH
                return
            self.verdict.checks.append(Check(number=number, name=name, passed=True, detail=detail))
        self.verdict.outcome = Outcome.VERIFIED

    def _form(self, data: bytes) -> str:
        self.file = parse_record_file(data)
        self.verdict.request = self.file.request.hex()
        return f"{len(data)} bytes in canonical form"

    def _entries(self) -> str:
        places = Places(self.trust)
        for number, proven in enumerate(self.file.entries):
            what, statement = f"entry {number}", parse_statement(proven.statement)
            if statement.envelope.aud != self.trust.origin:
                raise CannotTell(
                    f"{what} is for the ledger {statement.envelope.aud!r}, and the trust file for "
                    f"{self.trust.origin!r}",
                    "Take the trust file of that registry.",
                    code="other_ledger",
                )
            place, _ = places.place(proven, statement, what)
            if number == 0:
                self.checkpoint = place.checkpoint
            if place.checkpoint != self.checkpoint:
                raise Mismatch(
                    f"{what} is proven under a checkpoint of size {place.checkpoint.size}, and the first under one of "
                    f"size {self.checkpoint.size}",
                    KEEP,
                    code="mixed_checkpoints",
                )
            if self.placed and place.index <= self.placed[-1][0]:
                raise Mismatch(f"{what} does not come after the one before it", KEEP, code="out_of_order")
            self.placed.append((place.index, proven.leaf, statement))
        self.verdict.size = self.checkpoint.size
        root = self.checkpoint.root.hex()
        return (
            f"{len(self.placed)} entries of {self.trust.origin}, at size {self.checkpoint.size} under the root {root}"
        )

    def _rules(self) -> str:
        erasures = erasures_of(statement for _, _, statement in self.placed)
        self.replay = Replay(origin=self.trust.origin, genesis=self.trust.genesis, erasures=erasures)
        for index, leaf, statement in self.placed:
            admitted = self.replay.add(Entry(index=index, leaf=leaf, statement=statement.text))
            if index == 0:
                check_founders(self.trust, statement)
            if statement.digest == self.file.request:
                self._notified(admitted)
            self._event(index, leaf, statement)
        return f"{len(self.placed)} statements follow from the genesis, one after another"

    def _request(self) -> str:
        statements = {statement.digest: statement for _, _, statement in self.placed}
        found = statements.get(self.file.request)
        if found is None or not isinstance(found.claims, ReleaseRequest):
            raise Mismatch(f"no request {self.file.request.hex()} is among the entries", KEEP, code="unknown_request")
        view, verdict = self.replay.view, self.verdict
        asked = self.asked = request_of(view, self.file.request)
        order = view.find(Order, asked.order.hex())
        assert order is not None  # noqa: S101 - the rules refused a request without its order
        record = parse_record(epoch_of(view, asked.epoch_id).record)
        verdict.deposit_id, verdict.case_id = asked.deposit_id.hex(), asked.case_id.hex()
        verdict.order, verdict.document = order.id, order.document.hex()
        verdict.recipient = self._name(asked.recipient)
        verdict.opens_at, verdict.expires_at = asked.opens_at, asked.expires_at
        verdict.contribute = case_of(view, asked.case_id).rules.contribute
        verdict.panel_id, verdict.epoch, verdict.k = asked.panel_id.hex(), record.epoch, record.k
        verdict.judges = tuple(self._name(each) for each in epoch_of(view, asked.epoch_id).judges)
        verdict.earlier = sum(
            isinstance(each, Request) and each.deposit_id == asked.deposit_id and each.id != asked.id
            for each in view.aggregates.values()
        )
        return f"{verdict.recipient} asks for the deposit {verdict.deposit_id} under the order {verdict.order}"

    def _contributions(self) -> str:
        view, asked = self.replay.view, self.asked
        deposit = deposit_of(view, asked.deposit_id)
        record = parse_record(epoch_of(view, asked.epoch_id).record)
        capsule = next(each for each in deposit.capsules if each.panel_id == asked.panel_id)
        bound = label(bytes(record.Y), bytes.fromhex(deposit.id), deposit.case_id, deposit.manifest_hash)
        release = begin_release(record, bound, capsule.public, asked.state.release.request.encoded)
        granted = {each.judge: each.contribution for each in asked.decisions}
        for index, message in asked.state.contributions:
            verify_contribution(release, message)
            if granted.get(index) != hashlib.sha256(message).digest():
                raise Mismatch(f"judge {index} contributed what he did not grant", KEEP, code="not_granted")
        came = len(asked.state.contributions)
        self.verdict.status = self._status()
        return f"{came} of {record.k} judges, each proven" + ("; released" if asked.state.released else "")

    def _stretch(self) -> str:
        file, verdict = self.file, self.verdict
        start, end = file.start, file.start + len(file.leaves)
        at = next(index for index, _, statement in self.placed if statement.digest == file.request)
        if start != at:
            raise Mismatch(f"the stretch begins at {start}, and the request stands at {at}", KEEP, code="wrong_stretch")
        hashes = [leaf_hash(each.encode()) for each in file.leaves]
        verify_stretch(start, hashes, self.checkpoint.size, file.hashes, self.checkpoint.root)
        shown = {index for index, _, _ in self.placed}
        last = max(each.index for each in verdict.events)
        if last >= end:
            raise Mismatch(f"an act stands at {last}, and the stretch ends before {end}", KEEP, code="wrong_stretch")
        for index in range(start, end):
            kind = parse_leaf(file.leaves[index - start]).kind
            if index in shown:
                continue
            if kind.startswith("member."):
                raise Mismatch(
                    f"the public {kind} at index {index} is withheld: it may say that somebody left his office",
                    "Ask for a record with it; the registry serves it to anyone.",
                    code="statement_withheld",
                )
            if kind == "private":
                verdict.hidden += 1
            else:
                verdict.unrelated += 1
        verdict.start, verdict.end = start, end
        return (
            f"{end - start} entries of the ledger from {start} to {end - 1}, none left out; not shown are "
            f"{verdict.hidden} private ones and {verdict.unrelated} public ones of others"
        )

    # What is shown

    def _name(self, member: str) -> str:
        person = self.replay.view.find(Person, member)
        return person.name if person is not None else member

    def _notified(self, admitted: Admitted) -> None:
        view = self.replay.view
        claims = admitted.statement.claims
        if not isinstance(claims, ReleaseRequest):
            return
        case: Case = case_of(view, deposit_of(view, claims.deposit_id).case_id)
        people = [each for each in view.aggregates.values() if isinstance(each, Person)]
        self.verdict.notified = tuple(sorted(each.name for each in people if reads_case(view, case, each)))

    def _event(self, index: int, leaf: str, statement: Statement) -> None:
        claims, (order, case_id) = statement.claims, self._subject()
        if statement.digest not in (self.file.request, order):
            of_case = isinstance(claims, CaseRecuse) and claims.case_id == case_id
            if getattr(claims, "request", None) != self.file.request and not of_case:
                return
        says = f"recuses {self._name(claims.judge)}" if isinstance(claims, CaseRecuse) else _says(claims)
        if isinstance(claims, ReleaseOpening):
            self.verdict.items = claims.items
        time, who = parse_leaf(leaf).time, self._signer(statement)
        self.verdict.events.append(Event(index=index, time=time, kind=statement.kind, who=who, says=says))

    def _subject(self) -> tuple[bytes | None, bytes | None]:
        """The order that the request names, and the case of its deposit, as far as they are shown."""
        asked = next((each.claims for _, _, each in self.placed if each.digest == self.file.request), None)
        if not isinstance(asked, ReleaseRequest):
            return None, None
        deposits = (each.claims for _, _, each in self.placed if isinstance(each.claims, Deposit))
        return asked.order, next((each.case_id for each in deposits if each.deposit_id == asked.deposit_id), None)

    def _signer(self, statement: Statement) -> str:
        holder = self.replay.view.find(KeyHolder, statement.kid)
        if holder is None or holder.member is None:
            return f"the {holder.holder}" if holder is not None else statement.kid
        return self._name(holder.member)

    def _status(self) -> str:
        asked, last = self.asked, parse_leaf(self.file.leaves[-1]).time
        if asked.end is not None:
            return asked.end
        if asked.state.released:
            return "released"
        return "expired" if is_over(asked, last) else "waits"


def _says(claims: object) -> str:
    """One act in words."""
    if isinstance(claims, ReleaseOrder):
        return f"orders it opened, under a paper with the SHA-256 {claims.document.hex()}"
    if isinstance(claims, ReleaseRequest):
        return "asks"
    if isinstance(claims, ReleaseObjection):
        return "objects"
    if isinstance(claims, ReleaseWithdraw):
        return "withdraws"
    if isinstance(claims, ReleaseDecision):
        return "grants" if claims.decision == "grant" else "refuses"
    if isinstance(claims, ReleaseContribution):
        return "contributes"
    if isinstance(claims, Access):
        return "serves the recipient"
    if isinstance(claims, ReleaseOpening):
        return "found it malformed" if claims.outcome == "malformed" else "opened it"
    return ""
