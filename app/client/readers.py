"""To whom words in a case are sealed: its members and the judges of its panels, as the rules let them read."""

from app.client.session import Client
from app.client.visit import panel_of
from app.rules.aggregates import Delegations, Devices, Epoch, Person
from app.rules.cases import case_of
from app.rules.view import WholeView
from app.statements.statement import Statement


def case_members(view: WholeView, case_id: bytes, now: int | None = None) -> tuple[Person, ...]:
    """Return who reads a case: opener, presiding judge, parties, the judges of its panels' current epochs, and whoever
    acts for them (at `now`, Unix seconds, if it is given)."""
    case = case_of(view, case_id)
    ids = [case.opened_by, *([case.presiding] if case.presiding else []), *case.parties]
    for panel_id in case.panels:
        panel = panel_of(view, panel_id)
        epoch = view.find(Epoch, panel.epoch_id.hex()) if panel.epoch_id else None
        ids += epoch.judges if epoch is not None else ()
    given = view.find(Delegations, case.id)
    # A delegate whose time is over reads no statement any more; until then words are for him, too.
    ids += [each.delegate for each in (given.given if given is not None else ()) if now is None or each.until > now]
    people = [view.find(Person, each) for each in dict.fromkeys(ids)]
    return tuple(person for person in people if person is not None and person.active)


def case_recipients(view: WholeView, case_id: bytes) -> tuple[str, ...]:
    """Return their age recipients, those of their further devices too."""
    people = case_members(view, case_id)
    devices = [each for person in people if (each := view.find(Devices, person.id)) is not None]
    more = [device.notes for each in devices for device in each.devices]
    return (*(person.notes for person in people), *more)


async def words_of(client: Client, statement: Statement) -> str | None:
    """The sealed words of a statement, None where it has none. Raises AppError for a note that cannot be had."""
    note = getattr(statement.claims, "note", None)
    return None if note is None else (await client.read_note(note)).words
