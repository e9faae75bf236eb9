"""Legal holds and longer terms, by a clerk or judge of the case; and what stands on a deposit.

What the rules would refuse is refused here first where it can be seen, and nothing is sent then.
"""

from dataclasses import dataclass

from app.client.readers import case_recipients
from app.client.session import Client, Receipt, State
from app.errors import AppError, Refused
from app.rules.act import refuse
from app.rules.aggregates import Deposited
from app.rules.deposits import deposit_of
from app.statements.kinds import HoldLift, HoldPlace, RetentionExtend
from app.statements.statement import parse_leaf


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One hold that stands: its digest, entry and time, who placed it, and why if this person can read it."""

    hold: bytes
    index: int
    placed_at: int
    """Unix seconds, by the ledger."""
    placed_by: str
    """The thumbprint of the key that signed it."""
    reason: str | None


async def place_hold(client: Client, deposit_id: bytes, words: str | None = None) -> Receipt:
    """Place a hold; the receipt's statement digest names it. Raises Refused (wrong_signer, not_in_case, recused, …)."""
    state = await client.sync()
    note = await _note(client, state, deposit_id, words)
    return await client.post(HoldPlace(deposit_id=deposit_id, note=note))


async def lift_hold(client: Client, deposit_id: bytes, hold: bytes | None, words: str | None = None) -> Receipt:
    """Lift a hold; None means the only one that stands. Raises Refused (unknown_hold, several_holds, …)."""
    state = await client.sync()
    found = deposit_of(state.view, deposit_id)
    if hold is None:
        if not found.holds:
            raise refuse("unknown_hold", f"no hold stands on the deposit {found.id}", "Nothing is left to do.")
        if len(found.holds) > 1:
            names = ", ".join(each.hex() for each in found.holds)
            raise Refused(
                f"{len(found.holds)} holds stand on the deposit {found.id}: {names}",
                "Name the one that is settled with --hold; the others stay.",
                code="several_holds",
            )
        (hold,) = found.holds
    elif hold not in found.holds:
        raise refuse(
            "unknown_hold", f"no hold {hold.hex()} stands on the deposit {found.id}", "See `muniment hold list`."
        )
    note = await _note(client, state, deposit_id, words)
    return await client.post(HoldLift(deposit_id=deposit_id, hold=hold, note=note))


async def extend_term(client: Client, deposit_id: bytes, until: int, words: str | None = None) -> Receipt:
    """Move the end of the term to `until` (Unix seconds). Raises Refused (not_later, too_far, …)."""
    state = await client.sync()
    note = await _note(client, state, deposit_id, words)
    return await client.post(RetentionExtend(deposit_id=deposit_id, until=until, note=note))


async def standing(client: Client, deposit_id: bytes) -> tuple[Deposited, tuple[Standing, ...]]:
    """Return a deposit and the holds that stand on it, in ledger order. Raises Refused (unknown_deposit)."""
    state = await client.sync()
    deposit = deposit_of(state.view, deposit_id)
    found = []
    for hold in deposit.holds:
        statement, index = state.statement(hold), state.indices[hold]
        assert isinstance(statement.claims, HoldPlace)  # noqa: S101 - the rules put nothing else there
        found.append(
            Standing(
                hold=hold,
                index=index,
                placed_at=parse_leaf(state.entries[index].leaf).time,
                placed_by=statement.kid,
                reason=await _reason(client, statement.claims.note),
            )
        )
    return deposit, tuple(found)


async def _reason(client: Client, note: bytes | None) -> str | None:
    try:
        return None if note is None else (await client.read_note(note)).words
    except AppError:
        return None  # sealed to others, or damaged: the hold stands all the same


async def _note(client: Client, state: State, deposit_id: bytes, words: str | None) -> bytes | None:
    deposit = deposit_of(state.view, deposit_id)
    if words is None:
        return None
    return await client.put_note(words, (), case_recipients(state.view, deposit.case_id, state.taken_at))
