"""A panel's drill: a test capsule goes the whole way, so that a lost quorum is found before the trial and not in it.

A drill is a real case with one real deposit, order, request and release, under an id that says so (`drill_id`). Each of
its people runs the same command, which does what the drill waits for from him.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from app.client.backup import open_for, tested
from app.client.deposit import Depositor, Evidence
from app.client.docket import document_hash
from app.client.drill_id import drill_case_id, drill_paper, drill_text
from app.client.judge import Judge
from app.client.opening import Output, open_request
from app.client.release import order, request
from app.client.session import Client, State
from app.client.sheet import Sheet
from app.client.visit import opened_at, panel_of, record_of
from app.errors import Mismatch, Refused
from app.rules.act import refuse
from app.rules.aggregates import Case, Deposited, Epoch, Order, Person, Request
from app.rules.view import WholeView
from app.statements.kinds import CaseAssign, CaseOpen, CaseParty, ReleaseContribution, ReleaseOpening
from app.statements.statement import parse_leaf, parse_statement

DAY = 86_400
DRILL_DAYS = 365
"""How often a panel is drilled, unless a person sets it otherwise."""
SOON_DAYS = 30
"""So long before it is due a drill is announced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One drill as far as it can be seen. `answers`: member and time (Unix seconds) of each contribution."""

    number: int
    case: Case
    deposit: Deposited | None
    order: Order | None
    request: Request | None
    """The newest request for it."""
    answers: tuple[tuple[str, int], ...]
    finished_at: int | None
    """When the opening said that the text was equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a panel's drills say of its current epoch. Members in index order; times in Unix seconds."""

    panel_id: bytes
    epoch: int
    k: int
    judges: tuple[str, ...]
    drill: int | None
    """The newest drill of this epoch that was asked for, None where there is none that can be seen."""
    finished_at: int | None
    answered: tuple[tuple[str, int], ...]
    silent: tuple[str, ...]
    """Active judges who did not answer it."""
    inactive: tuple[str, ...]
    """Judges who were revoked: they contribute nothing."""
    may_be_lost: int | None
    """How many of those who answered may be lost before nothing opens; negative: it is locked. None without a drill."""
    due_at: int

    def is_overdue(self, now: int) -> bool:
        """Whether the next drill should have been finished by now."""
        return now >= self.due_at

    def is_due(self, now: int) -> bool:
        """Whether the next drill should be begun."""
        return now >= self.due_at - SOON_DAYS * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """What a person's visit to a drill did, and whom it waits for now (names)."""

    number: int
    did: tuple[str, ...]
    waits_for: str
    whom: tuple[str, ...]


def drills_of(state: State, panel_id: bytes) -> tuple[Drill, ...]:
    """Every drill of a panel that this person can see, oldest first."""
    view, found, number = state.view, [], 1
    while (case := view.find(Case, drill_case_id(panel_id, number).hex())) is not None:
        found.append(_drill(state, case, panel_id, number))
        number += 1
    return tuple(found)


def health_of(state: State, panel_id: bytes, every_days: int = DRILL_DAYS) -> Health:
    """What the drills say of a panel's current epoch. Raises Refused (unknown_panel), PanelError (`chain_broken`)."""
    view = state.view
    panel = panel_of(view, panel_id)
    record = record_of(view, panel)
    epoch = view.find(Epoch, record.epoch_id.hex())
    judges = epoch.judges if epoch is not None else ()
    asked = [each for each in drills_of(state, panel_id) if _of_epoch(each, record.epoch_id)]
    last = asked[-1] if asked else None
    finished = [each.finished_at for each in asked if each.finished_at is not None]
    inactive = tuple(each for each in judges if not _active(view, each))
    answers = dict(last.answers) if last is not None else {}
    answered = tuple((each, answers[each]) for each in judges if each in answers and each not in inactive)
    since = max(finished, default=opened_at(state, record.session))
    return Health(
        panel_id=panel_id,
        epoch=record.epoch,
        k=record.k,
        judges=judges,
        drill=last.number if last is not None else None,
        finished_at=last.finished_at if last is not None else None,
        answered=answered,
        silent=tuple(each for each in judges if each not in answers and each not in inactive),
        inactive=inactive,
        may_be_lost=len(answered) - record.k if last is not None else None,
        due_at=since + every_days * DAY,
    )


async def begin(client: Client, panel_id: bytes, depositor: str, presiding: str | None = None) -> int:
    """Begin the next drill (registrar or clerk): open its case, assign the panel, add the depositor; return its number.

    Begun and cut off, it is gone on with. `depositor` deposits the text and opens it in the end; `presiding` signs the
    order, the panel's first judge if nobody is named. Raises Refused (drill_running, unknown_panel, …).
    """
    state = await client.sync()
    record = record_of(state.view, panel_of(state.view, panel_id))
    drills = drills_of(state, panel_id)
    number = len(drills) + 1
    if drills and not drills[-1].case.parties:
        number -= 1  # begun, and cut off
    elif drills and drills[-1].finished_at is None and not _is_over(drills[-1], record.epoch_id):
        raise Refused(
            f"the drill {drills[-1].number} of the panel {panel_id.hex()} is under way",
            "Finish it: every one of its people runs `muniment panel drill` again.",
            code="drill_running",
        )
    case_id = drill_case_id(panel_id, number)
    if state.view.find(Case, case_id.hex()) is None:
        await client.post(CaseOpen(case_id=case_id, note=None))
    epoch = state.view.find(Epoch, record.epoch_id.hex())
    first = next(each for each in (epoch.judges if epoch is not None else ()) if _active(state.view, each))
    await client.post(CaseAssign(case_id=case_id, panel_id=panel_id, presiding=presiding or first))
    await client.post(CaseParty(case_id=case_id, member=depositor, note=None))
    return number


async def visit_drill(
    client: Client, panel_id: bytes, *, finish: bool = False, backup: tuple[Sheet, str] | None = None
) -> Stepped:
    """Do what the newest drill waits for from this person: deposit, order, request, contribution or opening.

    It is opened when every active judge has answered, or k of them if `finish`. With `backup`, a sheet and its code,
    a judge's contribution is made from his sheet, and not from his home. Raises Refused (no_drill, …), and as the acts.
    """
    state = await client.sync()
    drills = drills_of(state, panel_id)
    if not drills:
        raise refuse("no_drill", f"no drill of the panel {panel_id.hex()} was begun, or none with you", "Begin one.")
    number = drills[-1].number
    did: list[str] = []
    while True:
        said = await _step(client, state, drills[-1], panel_id, finish=finish, backup=backup)
        state = await client.sync()
        drills = drills_of(state, panel_id)
        if said is None:
            waits_for, whom = _waits_for(state, drills[-1], panel_id)
            return Stepped(number=number, did=tuple(did), waits_for=waits_for, whom=whom)
        did.append(said)


async def _step(
    client: Client, state: State, drill: Drill, panel_id: bytes, *, finish: bool, backup: tuple[Sheet, str] | None
) -> str | None:
    me, number = state.me, drill.number
    if drill.finished_at is not None:
        return None
    paper, current = drill_paper(panel_id, number), record_of(state.view, panel_of(state.view, panel_id)).epoch_id
    if drill.deposit is None:
        if me.id not in drill.case.parties or me.role != "depositor":
            return None
        await _deposit(client, panel_id, number)
        return "deposited the test text"
    if drill.order is None:
        if drill.case.presiding != me.id:
            return None
        deposits, recipients = [bytes.fromhex(drill.deposit.id)], [drill.deposit.depositor]
        await order(client, case_id=bytes.fromhex(drill.case.id), deposits=deposits, recipients=recipients, paper=paper)
        return "ordered the deposit opened"
    asked = drill.request
    if asked is None or asked.state.ended or asked.epoch_id != current:
        if drill.deposit.depositor != me.id:
            return None
        await request(client, order=bytes.fromhex(drill.order.id), deposit_id=bytes.fromhex(drill.deposit.id))
        return "asked for it"
    judges = _judges(state.view, asked)
    if me.id in judges and me.id not in dict(drill.answers):
        if drill.order.document != document_hash(paper):
            raise Mismatch(
                f"the order of the drill {number} names another paper than a drill's",
                "Do not answer it; tell the registrar.",
                code="not_a_drill",
            )
        keys = open_for(state, panel_id, *backup) if backup is not None else None
        await Judge(client, keys=keys).grant(bytes.fromhex(asked.id), paper)
        if backup is not None:
            tested(client, panel_id, backup[0])
        return "answered: granted, and sent the contribution" + (" made from the backup sheet" if backup else "")
    if drill.deposit.depositor == me.id and asked.state.released:
        silent = [each for each in judges if _active(state.view, each) and each not in dict(drill.answers)]
        if finish or not silent:
            await _open(client, panel_id, number, bytes.fromhex(asked.id))
            return "opened the capsule: the text is equal"
    return None


async def _deposit(client: Client, panel_id: bytes, number: int) -> None:
    with tempfile.TemporaryDirectory(prefix="muniment-drill-") as folder:
        path = Path(folder) / "drill.txt"
        path.write_bytes(drill_text(panel_id, number))
        case_id = drill_case_id(panel_id, number)
        await Depositor(client).deposit(case_id, [Evidence(path=path)], panels=[panel_id], drill=True)


async def _open(client: Client, panel_id: bytes, number: int, asked: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="muniment-drill-") as folder:
        out = Path(folder) / "out"
        await open_request(client, asked, Output(folder=out))
        if [each.read_bytes() for each in out.iterdir() if each.is_file()] != [drill_text(panel_id, number)]:
            raise Mismatch(
                f"the deposit of the drill {number} does not hold the drill's text",
                "The release itself went through, and its record stands. Tell the registrar.",
                code="not_a_drill",
            )


def _drill(state: State, case: Case, panel_id: bytes, number: int) -> Drill:
    view = state.view
    case_id = bytes.fromhex(case.id)
    deposits = [each for each in view.aggregates.values() if isinstance(each, Deposited) and each.case_id == case_id]
    deposit = deposits[0] if deposits else None
    orders = [each for each in view.aggregates.values() if isinstance(each, Order) and each.case_id == case_id]
    requests = [
        each
        for each in view.aggregates.values()
        if isinstance(each, Request) and (each.case_id, each.panel_id) == (case_id, panel_id)
    ]
    requests.sort(key=lambda each: state.indices.get(bytes.fromhex(each.id), -1))
    asked = requests[-1] if requests else None
    answers, finished_at = [], None
    for entry in state.entries.values() if asked is not None else ():
        leaf = parse_leaf(entry.leaf)
        if leaf.kind != "private" or asked is None:
            continue
        statement = parse_statement(entry.statement)
        claims = statement.claims
        if isinstance(claims, ReleaseContribution) and claims.request.hex() == asked.id:
            answers.append((_judges(view, asked)[int.from_bytes(claims.contribution[:2], "big") - 1], leaf.time))
        if isinstance(claims, ReleaseOpening) and claims.request.hex() == asked.id and claims.items == ("equal",):
            finished_at = leaf.time
    return Drill(
        number=number,
        case=case,
        deposit=deposit,
        order=orders[-1] if orders else None,
        request=asked,
        answers=tuple(answers),
        finished_at=finished_at,
    )


def _waits_for(state: State, drill: Drill, panel_id: bytes) -> tuple[str, tuple[str, ...]]:
    """What a drill waits for, and whom (names)."""
    view = state.view
    current = record_of(view, panel_of(view, panel_id)).epoch_id
    asked = drill.request
    people: tuple[str, ...]
    if drill.finished_at is not None:
        return "nothing: it is finished", ()
    if drill.deposit is None:
        what, people = "the deposit", drill.case.parties
    elif drill.order is None:
        what, people = "the order", (drill.case.presiding,) if drill.case.presiding is not None else ()
    elif asked is None or asked.state.ended or asked.epoch_id != current:
        what, people = "the request", (drill.deposit.depositor,)
    else:
        came = dict(drill.answers)
        people = tuple(each for each in _judges(view, asked) if _active(view, each) and each not in came)
        what = "contributions" + (" (k have come: `--finish` opens it now)" if asked.state.released else "")
        if not people:
            what, people = "the opening", (drill.deposit.depositor,)
    names = [view.find(Person, each) for each in people]
    return what, tuple(person.name if person is not None else id for person, id in zip(names, people, strict=True))


def _judges(view: WholeView, asked: Request) -> tuple[str, ...]:
    epoch = view.find(Epoch, asked.epoch_id.hex())
    return epoch.judges if epoch is not None else ()


def _of_epoch(drill: Drill, epoch_id: bytes) -> bool:
    return drill.request is not None and drill.request.epoch_id == epoch_id


def _is_over(drill: Drill, epoch_id: bytes) -> bool:
    """Whether a drill can come to nothing any more: it was overtaken by a handover."""
    return drill.request is not None and drill.request.epoch_id != epoch_id


def _active(view: WholeView, member: str) -> bool:
    person = view.find(Person, member)
    return person is not None and person.active
