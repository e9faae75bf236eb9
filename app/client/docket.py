"""What a judge is shown of a request, and what is checked before he can grant it: pure, over the replayed state.

Checks, in this order: 1 the request is admitted, is not over, and its panel's epoch, verified link by link, is the
current one; 2 the judge holds a share of it; 3 the order that the request names is on the ledger, signed by the case's
presiding judge (the replay saw to that), and orders this deposit; 4 the paper that the judge has in hand is the one
that the order commits to; 5 the requester is one whom the order names, and the member who signed the request; 6 the
capsule is the deposit's own under the label recomputed here, and the request's proof of possession holds.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from app.client.earlier import Earlier, earlier_requests, judges_in_hand
from app.client.visit import panel_of, record_of
from app.errors import Mismatch, Refused
from app.panels.capsule import label
from app.panels.errors import PanelError
from app.panels.record import EpochRecord
from app.panels.request import Release, begin_release, parse_request
from app.rules.act import person_of, refuse
from app.rules.aggregates import Deposited, Epoch, Order, Person, Request
from app.rules.cases import case_of, no_conflict, not_recused
from app.rules.deposits import deposit_of, epoch_of
from app.rules.mistakes import fate_of
from app.rules.terms import not_over, request_of
from app.rules.view import WholeView
from app.sealing.manifest import Manifest, manifest_hash, parse_manifest
from app.statements.disclosure import NamedDisclosure, open_disclosure
from app.statements.kinds import DepositSlots


@dataclass(frozen=True, slots=True, kw_only=True)
class Docket:
    """A request that passed every check that needs no paper; `release` is what a contribution is made for."""

    request: bytes
    """The digest of the release.request statement."""
    case_id: bytes
    deposit: Deposited
    order: Order
    requester: Person
    """The member who asks; his key is the one that the order names."""
    ordered_by: Person
    """Who signed the order. A clerk may have named another presiding judge since, who did not."""
    presiding: Person | None
    """Who presides now."""
    panel_id: bytes
    index: int
    """The judge's index in the epoch."""
    judges: tuple[Person, ...]
    decided: tuple[tuple[int, bool], ...]
    """(judge, granted), in ledger order."""
    release: Release
    superseded_by: bytes | None
    """The deposit that its depositor named in place of this one."""
    asked_at: int
    opens_at: int
    """Unix seconds: from when it may be granted, after the notice to the others."""
    expires_at: int
    at_quorum: bool
    """Whether contributions are sent only when k judges have granted."""
    objections: tuple[tuple[Person, bytes], ...]
    """Who objected, and the digest of the statement that says so."""
    refusals: tuple[tuple[int, bytes], ...]
    """Which judges refused, and the digests of their decisions."""
    earlier: tuple[Earlier, ...]
    """Every other request for the same deposit."""
    in_hand: int
    """How many judges' contributions for this capsule and epoch exist already, whatever request they were for."""

    @property
    def k(self) -> int:
        """How many contributions it takes."""
        return self.release.record.k


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A hidden claim of the deposit that somebody disclosed and that opens its slot; `item` is None for the whole."""

    item: int | None
    slot: str
    value: str | int | None


def examine(view: WholeView, member: str, request: bytes, now: int) -> Docket:
    """Checks 1, 2, 3, 5 and 6 for a judge, at `now` by his own clock. Raises Refused (unknown_request, request_ended,
    request_expired, not_on_panel, conflict, requester_not_authorised, wrong_order, …), PanelError."""
    asked = request_of(view, request)
    record, epoch = _epoch(view, asked, now)  # 1
    if member not in epoch.judges:  # 2
        raise refuse("not_on_panel", f"you are not a judge of the epoch {epoch.id}")
    case = case_of(view, asked.case_id)
    not_recused(case, member)
    no_conflict(case, member)
    order = _order(view, asked)  # 3
    requester = _requester(view, asked, order)  # 5
    deposit = deposit_of(view, asked.deposit_id)
    release = release_of(record, asked, deposit)  # 6
    if release.request.requester != requester.key:
        raise PanelError("requester_not_authorised")
    if release.request.order_hash != asked.order:
        raise PanelError("wrong_order")
    return Docket(
        request=request,
        case_id=asked.case_id,
        deposit=deposit,
        order=order,
        requester=requester,
        ordered_by=_signer(view, order),
        presiding=view.find(Person, case.presiding) if case.presiding else None,
        panel_id=asked.panel_id,
        index=epoch.judges.index(member) + 1,
        judges=tuple(person for judge in epoch.judges if (person := view.find(Person, judge)) is not None),
        decided=tuple((each.judge, each.contribution is not None) for each in asked.decisions),
        release=release,
        superseded_by=fate_of(view, deposit).superseded_by,
        asked_at=asked.asked_at,
        opens_at=asked.opens_at,
        expires_at=asked.expires_at,
        at_quorum=case.rules.contribute == "at-quorum",
        objections=tuple(
            (person, each.digest) for each in asked.objections if (person := view.find(Person, each.member)) is not None
        ),
        refusals=tuple((each.judge, each.digest) for each in asked.decisions if each.contribution is None),
        earlier=earlier_requests(view, asked, now),
        in_hand=judges_in_hand(view, asked),
    )


def check_document(docket: Docket, document: bytes) -> None:
    """Check 4: `document` is the SHA-256 of the paper that the judge got from the court, not through the service.

    Raises Mismatch (wrong_document).
    """
    if not hmac.compare_digest(document, docket.order.document):
        raise Mismatch(
            f"the order {docket.order.id} was signed for a paper with the SHA-256 {docket.order.document.hex()}, "
            f"and the one in your hand has {document.hex()}",
            "Do not grant. Ask the presiding judge which paper he signed.",
            code="wrong_document",
        )


def release_of(record: EpochRecord, asked: Request, deposit: Deposited) -> Release:
    """Check 6: the release, from the verified record, the deposit's capsule and the label recomputed."""
    sealed = next((each for each in deposit.capsules if each.panel_id == asked.panel_id), None)
    if sealed is None or deposit.case_id != asked.case_id:
        raise refuse("wrong_panel", f"the deposit {deposit.id} is not sealed to the panel {asked.panel_id.hex()}")
    bound = label(bytes(record.Y), bytes.fromhex(deposit.id), deposit.case_id, deposit.manifest_hash)
    return begin_release(record, bound, sealed.public, asked.state.release.request.encoded)


def document_hash(paper: bytes) -> bytes:
    """SHA-256 of the court's paper, as orders name it."""
    return hashlib.sha256(paper).digest()


def open_shown(
    disclosures: Iterable[NamedDisclosure], slots: DepositSlots, manifest: Manifest | None
) -> tuple[Shown, ...]:
    """Open what a requester disclosed, against the deposit's slots. Raises Mismatch (disclosure_mismatch), BadInput."""
    found = []
    for each in disclosures:
        what = f"the disclosed {each.slot} of {'the deposit' if each.item is None else f'item {each.item}'}"
        slot: str | None = None
        if each.item is None:
            slot = {"description": slots.description, "origin": slots.origin}.get(each.slot)
        elif manifest is not None and 1 <= each.item < len(manifest.items):
            own = manifest.items[each.item].slots
            slot = getattr(own, each.slot, None) if each.slot in ("name", "type", "size", "sha256", "parts") else None
        if slot is None:
            raise Mismatch(f"{what} is no slot of this deposit", "Do not rely on it.", code="disclosure_mismatch")
        found.append(Shown(item=each.item, slot=each.slot, value=open_disclosure(each.disclosure, slot, what)))
    return tuple(found)


def checked_manifest(deposit: Deposited, text: str) -> Manifest:
    """Read the manifest that a service serves for a deposit. Raises Mismatch (altered_manifest), BadInput."""
    if manifest_hash(text) != deposit.manifest_hash:
        raise Mismatch(
            f"the service serves another manifest than the deposit {deposit.id} commits to",
            "Keep it, and tell the registrar.",
            code="altered_manifest",
        )
    return parse_manifest(text)


def _epoch(view: WholeView, asked: Request, now: int) -> tuple[EpochRecord, Epoch]:
    not_over(asked, now)
    record = record_of(view, panel_of(view, asked.panel_id))
    if record.epoch_id != asked.epoch_id:
        raise PanelError("wrong_epoch")
    return record, epoch_of(view, asked.epoch_id)


def _order(view: WholeView, asked: Request) -> Order:
    order = view.find(Order, asked.order.hex())
    if order is None or order.case_id != asked.case_id or asked.deposit_id not in order.deposits:
        raise refuse("wrong_order", f"no order of the case names the deposit {asked.deposit_id.hex()}", "Do not grant.")
    return order


def _signer(view: WholeView, order: Order) -> Person:
    person = view.find(Person, order.signer)
    if person is None:
        raise refuse("unknown_member", f"the order {order.id} was signed by nobody whom you can see", "Do not grant.")
    return person


def _requester(view: WholeView, asked: Request, order: Order) -> Person:
    person = person_of(view, asked.recipient)
    named = parse_request(asked.state.release.request.encoded).requester
    if person.key not in order.recipients or named != person.key:
        raise Refused(
            f"the order {order.id} does not name {person.name} ({person.id}) as a recipient",
            "Do not grant: whoever asks is not the one whom the court named.",
            code="requester_not_authorised",
        )
    return person
