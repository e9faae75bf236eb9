"""To whom words in a case are sealed: its members and the judges of its panels, as the rules let them read."""

from app.client.session import Client
from app.client.visit import panel_of
from app.rules.aggregates import Delegations, Devices, Epoch, Person
from app.rules.cases import case_of, principals
from app.rules.view import WholeView
from app.statements.statement import Statement


def case_members(view: WholeView, case_id: bytes, now: int) -> tuple[Person, ...]:
    """Return who reads a case: opener, presiding judge, parties, the judges of its panels' current epochs, and whoever
    acts for one of them at `now` (Unix seconds)."""
    case = case_of(view, case_id)
    ids = [case.opened_by, *([case.presiding] if case.presiding else []), *case.parties]
    for panel_id in case.panels:
        panel = panel_of(view, panel_id)
        epoch = view.find(Epoch, panel.epoch_id.hex()) if panel.epoch_id else None
        ids += epoch.judges if epoch is not None else ()
    given = view.find(Delegations, case.id)
    delegates = [view.find(Person, each.delegate) for each in (given.given if given is not None else ())]
    # As the registry serves statements: not whose time is over, nor whose principal is out of the case or revoked.
    ids += [each.id for each in delegates if each is not None and any(True for _ in principals(view, case, each, now))]
    people = [view.find(Person, each) for each in dict.fromkeys(ids)]
    return tuple(person for person in people if person is not None and person.active)


def case_recipients(view: WholeView, case_id: bytes, now: int) -> tuple[str, ...]:
    """Return their age recipients at `now` (Unix seconds), those of their further devices too."""
    people = case_members(view, case_id, now)
    devices = [each for person in people if (each := view.find(Devices, person.id)) is not None]
    more = [device.notes for each in devices for device in each.devices]
    return (*(person.notes for person in people), *more)


async def words_of(client: Client, statement: Statement) -> str | None:
    """The sealed words of a statement, None where it has none. Raises AppError for a note that cannot be had."""
    note = getattr(statement.claims, "note", None)
    return None if note is None else (await client.read_note(note)).words
