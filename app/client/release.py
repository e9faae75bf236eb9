"""Asking for evidence: the presiding judge's order, a recipient's request with a fresh key, and what has come of it.

The secret of the recipient key is durable, encrypted, before the request leaves; one that was interrupted is sent again
with the same key. `fetch` and `opening` do the rest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from app.canonical import format_json, parse_json
from app.client.docket import document_hash, release_of
from app.client.duties import names_of
from app.client.earlier import status_of
from app.client.home import Vault
from app.client.judge_keys import fresh_scalar
from app.client.lock import only_one
from app.client.readers import case_recipients
from app.client.session import Client, Receipt, State
from app.client.visit import panel_of, record_of, record_of_epoch
from app.errors import Refused
from app.fields import B64, Hex, read_record, write_record
from app.panels.errors import PanelError
from app.panels.making.request import make_request
from app.panels.request import Release, parse_request
from app.rules.act import person_of, refuse
from app.rules.aggregates import Case, Deposited, Epoch, Order, Request, SealedCapsule
from app.rules.deposits import deposit_of
from app.rules.terms import is_over, is_stale, not_over, request_of
from app.rules.view import WholeView
from app.statements.disclosure import NamedDisclosure
from app.statements.kinds import Capsule, Digest, Id, ReleaseObjection, ReleaseOrder, ReleaseRequest, ReleaseWithdraw

MAX_RECORD_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request and the secret of its recipient key (32 bytes), as it is kept until the evidence was opened."""

    order: Digest
    deposit_id: Id
    panel_id: Digest
    sk: Annotated[bytes, Hex(32)] = field(repr=False)
    request: Annotated[bytes, B64(290)]
    note: Annotated[bytes, Hex(32)] | None

    @property
    def req_hash(self) -> bytes:
        """32 bytes: by it the request is found on the ledger."""
        return parse_request(self.request).req_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What has come of a request. Names in the order of the panel's indices.

    `stale`: the panel's judges changed before k of them had contributed; a new request is needed. `recused`: those who
    were recused from the case before they contributed, and of whom nothing will come.
    """

    request: bytes
    deposit_id: bytes
    k: int
    granted: tuple[str, ...]
    refused: tuple[str, ...]
    silent: tuple[str, ...]
    recused: tuple[str, ...]
    contributions: int
    released: bool
    accessed: bool
    ended: bool
    stale: bool
    status: str
    """`waits`, `released`, `stale`, or how it ended: `opened`, `malformed`, `withdrawn`, `expired`, `published`."""
    opens_at: int
    expires_at: int
    objections: tuple[str, ...]


class AskedVault:
    """The requests of a recipient that were not opened yet."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def put(self, made: Asked) -> None:
        """Keep; durable on return."""
        self._vault.put("secrets", _name(made.req_hash), format_json(write_record(made)).encode())

    def get(self, req_hash: bytes) -> Asked | None:
        """The request of that hash."""
        data = self._vault.get("secrets", _name(req_hash))
        if data is None:
            return None
        return read_record(Asked, parse_json(data, what="a kept request", max_bytes=MAX_RECORD_BYTES), "a kept request")

    def all(self) -> Iterator[Asked]:
        """All that are kept."""
        for name in self._vault.names("secrets"):
            found = self.get(bytes.fromhex(name.removeprefix("asked-"))) if name.startswith("asked-") else None
            if found is not None:
                yield found

    def destroy(self, req_hash: bytes) -> None:
        """Destroy the secret of a request."""
        self._vault.delete("secrets", _name(req_hash))


async def order(
    client: Client,
    *,
    case_id: bytes,
    deposits: Sequence[bytes],
    recipients: Sequence[str],
    paper: bytes,
    words: str | None = None,
) -> Receipt:
    """Order deposits opened for members of the case, under the court's paper (its bytes, which stay here).

    `recipients` are member ids; their current keys are named. Raises Refused (unknown_member, not_presiding, …).
    """
    state = await client.sync()
    keys = tuple(person_of(state.view, each).key for each in recipients)
    note = (
        await client.put_note(words, (), case_recipients(state.view, case_id, state.taken_at))
        if words is not None
        else None
    )
    claims = ReleaseOrder(
        case_id=case_id, deposits=tuple(deposits), recipients=keys, document=document_hash(paper), note=note
    )
    return await client.post(claims)


async def request(
    client: Client,
    *,
    order: bytes,
    deposit_id: bytes,
    panel_id: bytes | None = None,
    words: str | None = None,
    disclosures: Sequence[NamedDisclosure] = (),
) -> Receipt:
    """Ask for a deposit under an order; the receipt's statement digest is the request.

    `panel_id` chooses among the panels that it is sealed to (default: the first). Words and disclosures are sealed to
    the case and its judges, so that they do not decide blind. Raises Refused (unknown_order, wrong_deposit,
    not_a_recipient, request_open, wrong_panel), PanelError where the panel does not verify.
    """
    with only_one(client.home.path):
        state = await client.sync()
        deposit = _ordered(state, order, deposit_id)
        sealed = _capsule(deposit, panel_id)
        record = record_of(state.view, panel_of(state.view, sealed.panel_id))
        kept = AskedVault(client.vault)
        _forget_useless(state, kept)
        _refuse_open(state, sealed, record.epoch_id)
        made = _unsent(state.view, kept, order, sealed, record.epoch_id)
        if made is None:
            note = None
            if words is not None or disclosures:
                note = await client.put_note(
                    words, disclosures, case_recipients(state.view, deposit.case_id, state.taken_at)
                )
            sk = fresh_scalar(client.rng)
            message = make_request(
                epoch_id=record.epoch_id,
                ct_hash=sealed.ct_hash,
                order_hash=order,
                requester_seed=client.keys.seed,
                sk=sk,
                rnd=client.rng(32),
            )
            made = Asked(
                order=order, deposit_id=deposit_id, panel_id=sealed.panel_id, sk=sk, request=message, note=note
            )
            kept.put(made)
        claims = ReleaseRequest(
            order=order, deposit_id=deposit_id, panel_id=sealed.panel_id, request=made.request, note=made.note
        )
        return await client.post(claims)


async def withdraw(client: Client, request: bytes, words: str | None = None) -> Receipt:
    """Take one's own request back, and destroy the secret that what came for it could be opened with.

    Raises Refused (unknown_request, not_a_recipient, request_ended, request_expired).
    """
    with only_one(client.home.path):
        state = await client.sync()
        asked = request_of(state.view, request)
        if asked.recipient != state.me.id:
            raise Refused(f"the request {request.hex()} is of another member", "Name yours.", code="not_a_recipient")
        not_over(asked, state.taken_at)
        note = None
        if words is not None:
            note = await client.put_note(words, (), case_recipients(state.view, asked.case_id, state.taken_at))
        receipt = await client.post(ReleaseWithdraw(request=request, note=note))
        AskedVault(client.vault).destroy(asked.state.req_hash)
        return receipt


async def object_to(client: Client, request: bytes, words: str | None = None) -> Receipt:
    """Object to another's request, for reasons sealed to the case and its judges.

    Raises Refused (unknown_request, not_in_case, own_request, already_released, already_objected, …).
    """
    state = await client.sync()
    asked = request_of(state.view, request)
    note = None
    if words is not None:
        note = await client.put_note(words, (), case_recipients(state.view, asked.case_id, state.taken_at))
    return await client.post(ReleaseObjection(request=request, note=note))


def others_requests(state: State) -> tuple[Request, ...]:
    """Requests of others that wait in the cases that this person is a party of: he may object to them."""
    me, view = state.me.id, state.view
    mine = {each.id for each in view.aggregates.values() if isinstance(each, Case) and me in each.parties}
    found = [
        each
        for each in view.aggregates.values()
        if isinstance(each, Request)
        and each.case_id.hex() in mine
        and each.recipient != me
        and not each.state.released
        and not is_over(each, state.taken_at)
        and not is_stale(view, each)
    ]
    return tuple(sorted(found, key=lambda each: (each.asked_at, each.id)))


def progress_of(view: WholeView, digest: bytes, now: int = 0) -> Progress:
    """Return what has come of a request, at `now` (Unix seconds). Raises Refused (unknown_request)."""
    asked = request_of(view, digest)
    epoch = view.find(Epoch, asked.epoch_id.hex())
    judges = names_of(view, epoch.judges if epoch is not None else ())
    decided = {each.judge: each.contribution is not None for each in asked.decisions}
    seats = list(enumerate(judges, 1))
    case = view.find(Case, asked.case_id.hex())
    came = dict(asked.state.contributions)
    members = list(enumerate(epoch.judges if epoch is not None else (), 1))
    left = {i for i, each in members if case is not None and each in case.recused and i not in came}
    return Progress(
        request=digest,
        deposit_id=asked.deposit_id,
        k=asked.state.release.record.k,
        granted=tuple(name for index, name in seats if decided.get(index) is True and index not in left),
        refused=tuple(name for index, name in seats if decided.get(index) is False and index not in left),
        silent=tuple(name for index, name in seats if index not in decided and index not in left),
        recused=tuple(name for index, name in seats if index in left),
        contributions=len(asked.state.contributions),
        released=asked.state.released,
        accessed=asked.accessed,
        ended=asked.state.ended,
        stale=is_stale(view, asked),
        status=status_of(view, asked, now),
        opens_at=asked.opens_at,
        expires_at=asked.expires_at,
        objections=names_of(view, tuple(each.member for each in asked.objections)),
    )


def own_request(state: State, deposit_id: bytes) -> bytes:
    """This person's newest request for a deposit of which something may come, or came and was not opened yet.

    Raises Refused (unknown_request).
    """
    mine = [
        (state.indices.get(bytes.fromhex(each.id), -1), bytes.fromhex(each.id))
        for each in state.view.aggregates.values()
        if isinstance(each, Request)
        and (each.recipient, each.deposit_id) == (state.me.id, deposit_id)
        and each.end in (None, "expired")
        and not _is_useless(state, each)
    ]
    if not mine:
        raise refuse(
            "unknown_request", f"you have no open request for the deposit {deposit_id.hex()}", "Make a request first."
        )
    return max(mine)[1]


def verified_release(view: WholeView, digest: bytes) -> tuple[Request, Deposited, Release]:
    """A request with everything that it rests on verified again. Raises Refused, PanelError (`wrong_epoch`, …).

    What was released under an epoch stays so when it has a successor; a stale request is `wrong_epoch`.
    """
    asked = request_of(view, digest)
    if is_stale(view, asked):
        raise PanelError("wrong_epoch")
    record = record_of_epoch(view, panel_of(view, asked.panel_id), asked.epoch_id)
    deposit = deposit_of(view, asked.deposit_id)
    return asked, deposit, release_of(record, asked, deposit)


def _ordered(state: State, order: bytes, deposit_id: bytes) -> Deposited:
    found = state.view.find(Order, order.hex())
    if found is None:
        raise refuse("unknown_order", f"there is no order {order.hex()}, as far as you can see", "Check its digest.")
    if deposit_id not in found.deposits:
        raise refuse("wrong_deposit", f"the order does not name the deposit {deposit_id.hex()}", "Ask for another.")
    if state.me.key not in found.recipients:
        raise Refused("the order does not name your key as a recipient", "Ask the court.", code="not_a_recipient")
    return deposit_of(state.view, deposit_id)


def _capsule(deposit: Deposited, panel_id: bytes | None) -> Capsule:
    for each in deposit.capsules:
        if panel_id is None or each.panel_id == panel_id:
            return each
    raise refuse("wrong_panel", f"the deposit {deposit.id} is not sealed to that panel", "Name one of its panels.")


def _refuse_open(state: State, sealed: Capsule, epoch_id: bytes) -> None:
    capsule = state.view.find(SealedCapsule, sealed.ct_hash.hex())
    if capsule is None or capsule.newest is None or capsule.state.open_request is None:
        return
    newest = request_of(state.view, capsule.newest)
    if capsule.state.open_request[1] == epoch_id and not is_over(newest, state.taken_at):
        raise PanelError("request_open")


def _unsent(view: WholeView, kept: AskedVault, order: bytes, sealed: Capsule, epoch_id: bytes) -> Asked | None:
    """A request that was made here and did not reach the ledger."""
    capsule = view.find(SealedCapsule, sealed.ct_hash.hex())
    known = capsule.state.requests if capsule is not None else ()
    for each in kept.all():
        asked = parse_request(each.request)
        same = (each.order, asked.ct_hash, asked.epoch_id) == (order, sealed.ct_hash, epoch_id)
        if same and asked.req_hash not in known:
            return each
    return None


def _forget_useless(state: State, kept: AskedVault) -> None:
    """Destroy the secrets of requests that a successor epoch overtook, that were withdrawn, or that were over before
    they were released: what came for them must stay worth nothing."""
    asked = {each.state.req_hash: each for each in state.view.aggregates.values() if isinstance(each, Request)}
    for each in tuple(kept.all()):
        found = asked.get(each.req_hash)
        if found is not None and _is_useless(state, found):
            kept.destroy(each.req_hash)


def _is_useless(state: State, asked: Request) -> bool:
    over = is_over(asked, state.taken_at) and not asked.state.released
    return asked.end == "withdrawn" or over or is_stale(state.view, asked)


def _name(req_hash: bytes) -> str:
    return f"asked-{req_hash.hex()}"
