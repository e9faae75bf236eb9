"""The checks of a publication file, in this order; the first that fails decides.

1 the file is one, byte for byte in canonical form
2 every entry: its leaf, its place under a checkpoint as the trust file asks, in ledger order; what founds members and
  panel is decided again by the rules, from the pinned genesis; deposit, request, contributions and publication are
  signed by members' current keys at their places, the contributions by the epoch's judges
3 the capsule is the deposit's, under the label computed here, for the joint key of the certified epoch; the request's
  proofs hold (SPEC 5.1)
4 the contributions are those of the named judges, each proven against his public share; the opening is proven against
  their sum; the box is the one committed to (SPEC 5.5). The verdict: the file key, or malformed
5 the manifest is the one that the deposit names
6 the inventory opens with the key; which items it declares in a way that opens their slots. One that does not open
  is the third verdict: the capsule held a key of something else
7 sealed items, where they are given: the plaintext of each, as it was deposited
8 each file given is an item, by SHA-256: as deposited, where its sealed item was given, else as declared
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import AppError, CannotTell, Mismatch
from app.panels.capsule import label
from app.panels.opening import Verdict as PanelVerdict
from app.panels.opening import verify_opening
from app.panels.record import parse_record
from app.panels.request import begin_release
from app.rules.aggregates import Epoch, KeyHolder, Person
from app.rules.replay import Entry, Replay, check_time
from app.rules.view import View
from app.sealing.inventory import Inventory, parse_inventory
from app.sealing.manifest import Manifest, ManifestItem, manifest_hash, parse_manifest
from app.sealing.segments import segment_sizes
from app.sealing.unseal import Unsealed, Unsealer, unseal_to_bytes
from app.sealing.x25519 import Identity
from app.statements.kinds import Deposit, ReleaseContribution, ReleasePublish, ReleaseRequest
from app.statements.publicationfile import MAX_INVENTORY_BYTES, PublicationFile, parse_publication_file
from app.statements.statement import Statement, parse_statement, verify_signature
from app.statements.trust import Trust, check_founders
from app.verify.places import KEEP, Places
from app.verify.proof import FileDigest
from app.verify.verdict import Check, Outcome
from ledger.errors import LedgerError

CANNOT_SHOW = (
    "that the court permitted this opening: ask the court, or a reader of the case",
    "that a name is true: it is the depositor's declaration; the bytes are what was deposited",
    "whether anything that revokes a signer was left out of the file: only a replay of the whole ledger shows that",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedItem:
    """One item: what the inventory declares (None where nothing opens its slots), what the sealed file holds."""

    item: int
    name: str | None
    declared: bytes | None
    found: bytes | None


@dataclass(slots=True, kw_only=True)
class PublicationVerdict:
    """The answer. `verdict` is `file_key`, `malformed`, `wrong_key`, or empty when the checks did not come so far."""

    trust_sha256: str
    outcome: Outcome = Outcome.UNKNOWN
    verdict: str = ""
    deposit_id: str = ""
    case_id: str = ""
    depositor: str = ""
    recipient: str = ""
    judges: tuple[str, ...] = ()
    identity: str = ""
    """The age identity that opens the sealed files."""
    items: list[PublishedItem] = field(default_factory=list)
    files: list[tuple[str, int, str]] = field(default_factory=list)
    """(path, item, `deposited` or `declared`)"""
    checks: list[Check] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """Return the verdict for `--json`."""
        return {
            "outcome": self.outcome.value,
            "exit_code": self.outcome.exit_code,
            "trust_sha256": self.trust_sha256,
            "verdict": self.verdict,
            "deposit_id": self.deposit_id,
            "case_id": self.case_id,
            "depositor": self.depositor,
            "recipient": self.recipient,
            "judges": list(self.judges),
            "identity": self.identity,
            "items": [
                {
                    "item": each.item,
                    "name": each.name,
                    "declared": each.declared.hex() if each.declared else None,
                    "found": each.found.hex() if each.found else None,
                }
                for each in self.items
            ],
            "files": [{"path": path, "item": item, "as": how} for path, item, how in self.files],
            "checks": [
                {"number": each.number, "name": each.name, "passed": each.passed, "detail": each.detail}
                | ({"code": each.code, "next_step": each.next_step} if not each.passed else {})
                for each in self.checks
            ],
            "cannot_show": list(CANNOT_SHOW),
        }


def check_publication(
    data: bytes, trust: Trust, files: Sequence[FileDigest] = (), sealed: Path | None = None
) -> PublicationVerdict:
    """Make all checks; never raises for what the file says. `sealed`: a folder with `item-001.age`, …"""
    verdict = PublicationVerdict(trust_sha256=trust.sha256.hex())
    _Run(verdict, trust).run(data, files, sealed)
    return verdict


class _Run:
    def __init__(self, verdict: PublicationVerdict, trust: Trust) -> None:
        self.verdict, self.trust = verdict, trust
        self.file: PublicationFile
        self.deposit: Deposit
        self.request: ReleaseRequest
        self.contributions: list[ReleaseContribution] = []
        self.publication: ReleasePublish
        self.replay = Replay(origin=trust.origin, genesis=trust.genesis)
        self.manifest: Manifest
        self.identity: Identity | None = None

    def run(self, data: bytes, files: Sequence[FileDigest], sealed: Path | None) -> None:
        steps: list[tuple[str, Callable[[], str]]] = [
            ("the file's form", lambda: self._form(data)),
            ("the entries", self._entries),
            ("capsule and request", self._release),
            ("the opening", self._opening),
            ("the manifest", self._manifest),
            ("the inventory", self._inventory),
            ("the sealed items", lambda: self._sealed(sealed)),
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
                        next_step=error.next_step or KEEP,
                    )
                )
                self.verdict.outcome = Outcome.UNKNOWN if isinstance(error, CannotTell) else Outcome.MISMATCH
                return
            self.verdict.checks.append(Check(number=number, name=name, passed=True, detail=detail))
        self.verdict.outcome = Outcome.VERIFIED

    def _form(self, data: bytes) -> str:
        self.file = parse_publication_file(data)
        return f"{len(data)} bytes in canonical form"

    def _entries(self) -> str:
        file, places = self.file, Places(self.trust)
        shown = [("the deposit", file.deposit), ("the request", file.request), ("the publication", file.publication)]
        shown += [(f"contribution {i}", each) for i, each in enumerate(file.contributions)]
        found = [(f"founding statement {i}", each, True) for i, each in enumerate(file.founding)]
        placed = []
        for what, proven, founding in [*found, *((what, each, False) for what, each in shown)]:
            statement = parse_statement(proven.statement)
            if statement.envelope.aud != self.trust.origin:
                raise CannotTell(
                    f"{what} is for the ledger {statement.envelope.aud!r}, and the trust file for "
                    f"{self.trust.origin!r}",
                    "Take the trust file of that registry.",
                    code="other_ledger",
                )
            place, leaf = places.place(proven, statement, what)
            placed.append((place.index, leaf.time, what, proven, statement, founding))
        indices = [index for index, *_ in placed[: len(found)]]
        if indices != sorted(set(indices)) or len({index for index, *_ in placed}) != len(placed):
            raise Mismatch("the entries are not in ledger order, or one stands twice", KEEP, code="out_of_order")
        time = 0
        for index, at, what, proven, statement, founding in sorted(placed, key=lambda each: each[0]):
            check_time(at, time, what)
            time = at
            if founding:
                self.replay.add(Entry(index=index, leaf=proven.leaf, statement=proven.statement))
                if index == 0:
                    check_founders(self.trust, statement)
            else:
                self._signed(self.replay.view, statement, what)
        return f"{len(placed)} entries of {self.trust.origin}"

    def _signed(self, view: View, statement: Statement, what: str) -> None:
        holder = view.find(KeyHolder, statement.kid)
        person = view.find(Person, holder.member) if holder is not None and holder.member else None
        if holder is None or person is None or holder.retired or not person.active:
            raise Mismatch(
                f"{what}: the entries shown do not make {statement.kid} a member's key", KEEP, code="unknown_signer"
            )
        verify_signature(statement, holder.key)
        claims = statement.claims
        wanted: dict[str, type[object]] = {
            "the deposit": Deposit,
            "the request": ReleaseRequest,
            "the publication": ReleasePublish,
        }
        if not isinstance(claims, wanted.get(what, ReleaseContribution)):
            raise Mismatch(f"{what} is a {statement.kind}", KEEP, code="wrong_kind")
        if isinstance(claims, Deposit):
            self.deposit, self.verdict.depositor = claims, person.name
            self.verdict.deposit_id, self.verdict.case_id = claims.deposit_id.hex(), claims.case_id.hex()
        elif isinstance(claims, ReleaseRequest):
            self.request, self.verdict.recipient = claims, person.name
            self._request_digest, self._recipient = statement.digest, person.id
        elif isinstance(claims, ReleasePublish):
            self.publication, self._publisher = claims, person.id
        elif isinstance(claims, ReleaseContribution):
            self.contributions.append(claims)
            self.verdict.judges = (*self.verdict.judges, person.name)

    def _release(self) -> str:
        deposit, asked = self.deposit, self.request
        capsule = next((each for each in deposit.capsules if each.panel_id == asked.panel_id), None)
        epoch_id = asked.request[2:34]
        epoch = self.replay.view.find(Epoch, epoch_id.hex())
        if capsule is None or asked.deposit_id != deposit.deposit_id:
            raise Mismatch("the request is for another deposit, or another panel", KEEP, code="wrong_deposit")
        if epoch is None or epoch.panel_id != asked.panel_id:
            raise Mismatch(f"the entries shown do not certify the epoch {epoch_id.hex()}", KEEP, code="unknown_epoch")
        if self._publisher != self._recipient:
            raise Mismatch("another member published than the one who asked", KEEP, code="not_a_recipient")
        named = {self.publication.request, *(each.request for each in self.contributions)}
        if named != {self._request_digest}:
            raise Mismatch("a statement shown is of another request", KEEP, code="wrong_request")
        record = parse_record(epoch.record)
        bound = label(bytes(record.Y), deposit.deposit_id, deposit.case_id, deposit.manifest_hash)
        self.release = begin_release(record, bound, capsule.public, asked.request)
        return f"epoch {record.epoch} of the panel {asked.panel_id.hex()}, {record.k} of {record.n} judges"

    def _opening(self) -> str:
        made = self.publication
        given = {int.from_bytes(each.contribution[:2], "big"): each.contribution for each in self.contributions}
        if set(given) != set(made.indices) or len(self.contributions) != len(made.indices):
            raise Mismatch(
                "the contributions shown are not those that the opening names", KEEP, code="unknown_contribution"
            )
        opened = verify_opening(self.release, [given[index] for index in made.indices], made.opening, made.box)
        self.verdict.verdict = opened.verdict.value
        if opened.verdict is PanelVerdict.MALFORMED:
            return "the capsule is malformed: its depositor made it so, and every judge's part is proven right"
        self.identity = Identity(opened.file_key)
        self.verdict.identity = self.identity.format()
        return "the file key is the one that the depositor sealed"

    def _manifest(self) -> str:
        if manifest_hash(self.file.manifest) != self.deposit.manifest_hash:
            raise Mismatch("the manifest is not the one that the deposit names", KEEP, code="manifest_mismatch")
        self.manifest = parse_manifest(self.file.manifest)
        self.verdict.items = [
            PublishedItem(item=index, name=None, declared=None, found=None)
            for index in range(1, len(self.manifest.items))
        ]
        return f"{len(self.manifest.items) - 1} items"

    def _inventory(self) -> str:
        if self.identity is None:
            return "nothing of a malformed deposit opens"
        if self.file.inventory is None:
            return "not in the file"
        item = self.manifest.items[0]
        sizes, parts, at = segment_sizes(item.length), [], 0
        for size in sizes:
            parts.append(self.file.inventory[at : at + size])
            at += size
        for part, expected in zip(parts, item.segments, strict=True):
            if hashlib.sha256(part).digest() != expected:
                raise Mismatch("the sealed inventory is not the deposit's", KEEP, code="segment_mismatch")
        try:
            text = unseal_to_bytes(
                parts,
                length=item.length,
                segments=item.segments,
                identity=self.identity,
                max_bytes=MAX_INVENTORY_BYTES,
            )
            inventory = parse_inventory(text)
        except AppError as error:
            # Every byte is the one deposited: what does not open was sealed so.
            self.verdict.verdict = "wrong_key" if error.code == "no_matching_key" else "file_key"
            return f"it does not open as one: {error.message}; its depositor made it so"
        return self._declared(inventory)

    def _declared(self, inventory: Inventory) -> str:
        same = (inventory.deposit_id, inventory.case_id) == (self.deposit.deposit_id, self.deposit.case_id)
        items = []
        for each in self.verdict.items:
            slots = self.manifest.items[each.item].slots
            opens = same and each.item <= len(inventory.items) and inventory.item_slots(each.item) == slots
            said = inventory.items[each.item - 1] if opens else None
            items.append(
                PublishedItem(
                    item=each.item,
                    name=said.name if said is not None else None,
                    declared=said.sha256 if said is not None else None,
                    found=None,
                )
            )
        self.verdict.items = items
        return f"{sum(each.declared is not None for each in items)} items declared in a way that opens their slots"

    def _sealed(self, folder: Path | None) -> str:
        if folder is None or self.identity is None:
            return "none given"
        items, count = [], 0
        for each in self.verdict.items:
            path, found = folder / f"item-{each.item:03d}.age", None
            if path.is_file():
                count += 1
                found = _unseal(path, self.manifest.items[each.item], self.identity)
            items.append(PublishedItem(item=each.item, name=each.name, declared=each.declared, found=found))
        self.verdict.items = items
        return f"{count} sealed items, each the one deposited"

    def _files(self, files: Sequence[FileDigest]) -> str:
        if not files:
            return "none given"
        if self.identity is None:
            raise Mismatch(
                "the capsule is malformed: no file can be shown to be of this deposit", KEEP, code="file_differs"
            )
        for file in files:
            found = _matching(file.sha256, self.verdict.items)
            if found is None:
                raise Mismatch(
                    f"{file.path} (SHA-256 {file.sha256.hex()}) is none of the items, as far as they are known here",
                    "Name the folder of the sealed items with --sealed; any change makes another file.",
                    code="file_differs",
                )
            self.verdict.files.append((file.path, *found))
        return "; ".join(f"{path} is item {item}, as {how}" for path, item, how in self.verdict.files)


def _matching(sha256: bytes, items: Iterable[PublishedItem]) -> tuple[int, str] | None:
    """The item of that digest. What was deposited counts where it is known, and then not what was declared."""
    for each in items:
        if each.found is not None:
            if each.found == sha256:
                return each.item, "deposited"
        elif each.declared == sha256:
            return each.item, "declared"
    return None


def _unseal(path: Path, item: ManifestItem, identity: Identity) -> bytes | None:
    """The SHA-256 of what an item's age file holds; None when it does not open. Raises Mismatch (segment_mismatch)."""
    unsealer = Unsealer(length=item.length, segments=item.segments, identity=identity, write=lambda _: None)
    try:
        with path.open("rb") as file:
            for size in segment_sizes(item.length):
                unsealer.add(file.read(size))
        found: Unsealed = unsealer.finish()
    except AppError as error:
        if error.code == "segment_mismatch":
            raise
        return None
    return found.sha256
