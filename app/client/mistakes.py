"""Taking back a deposit made by mistake, naming the one that takes its place, and acknowledging others' deposits.

What the rules would refuse is refused here first, in words for the person who asks, and nothing is sent then.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.client.readers import case_recipients
from app.client.session import Client, Receipt, State
from app.rules.aggregates import Case, Deposited, Fate, Person
from app.rules.cases import reads_case
from app.rules.deposits import deposit_of
from app.rules.mistakes import fate_of
from app.rules.view import WholeView
from app.statements.kinds import DepositAcknowledge, DepositSupersede, DepositWithdraw


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDeposit:
    """A deposit of somebody else that this person has not acknowledged."""

    deposit_id: bytes
    case_id: bytes
    depositor: str


async def withdraw(client: Client, deposit_id: bytes, words: str | None = None) -> Receipt:
    """Withdraw one's own deposit, with words sealed to the case. Raises Refused (wrong_signer, already_seen, …)."""
    state = await client.sync()
    deposit = deposit_of(state.view, deposit_id)
    note = await _note(client, state, deposit, words)
    return await client.post(DepositWithdraw(deposit_id=deposit_id, note=note))


async def supersede(client: Client, deposit_id: bytes, by: bytes, words: str | None = None) -> Receipt:
    """Name the deposit that takes the place of another of one's own. Raises Refused (wrong_deposit, superseded, …)."""
    state = await client.sync()
    deposit_of(state.view, by)
    note = await _note(client, state, deposit_of(state.view, deposit_id), words)
    return await client.post(DepositSupersede(deposit_id=deposit_id, by=by, note=note))


async def acknowledge(client: Client, deposit_id: bytes) -> Receipt:
    """Say on the ledger that one has seen a deposit: after that it is not withdrawn. Raises Refused."""
    state = await client.sync()
    deposit_of(state.view, deposit_id)
    return await client.post(DepositAcknowledge(deposit_id=deposit_id))


def new_deposits(view: WholeView, person: Person) -> Iterator[NewDeposit]:
    """What others deposited in this person's cases, stands, and was not acknowledged by him; by case and id.

    Only whoever opened the case and its parties are asked to: a judge sees deposits when they are asked for.
    """
    for _, each in sorted(view.aggregates.items()):
        if not isinstance(each, Deposited) or each.depositor == person.id:
            continue
        case = view.find(Case, each.case_id.hex())
        concerned = case is not None and person.id in (case.opened_by, *case.parties)
        fate = fate_of(view, each)
        if case is None or not concerned or not reads_case(view, case, person):
            continue
        if person.id not in fate.seen_by and fate.withdrawn is None:
            yield NewDeposit(deposit_id=bytes.fromhex(each.id), case_id=each.case_id, depositor=each.depositor)


def fate_words(fate: Fate) -> tuple[str, ...]:
    """What became of a deposit, in words; nothing for one that simply stands."""
    words = []
    if fate.withdrawn is not None:
        words.append("withdrawn by its depositor")
    if fate.superseded_by is not None:
        words.append(f"superseded by {fate.superseded_by.hex()}")
    return tuple(words)


async def _note(client: Client, state: State, deposit: Deposited, words: str | None) -> bytes | None:
    if words is None:
        return None
    return await client.put_note(words, (), case_recipients(state.view, deposit.case_id, state.taken_at))
