"""More than one pair of hands: letting others act in a case, ending that, and new keys for a member who lost his."""

from app.client.home import Card
from app.client.session import Client, Receipt, State
from app.errors import Mismatch, Refused
from app.rules.act import person_of
from app.rules.aggregates import Person
from app.statements.kinds import (
    CaseDelegate,
    CaseOpen,
    CaseParty,
    CaseUndelegate,
    MemberDevice,
    MemberKey,
    MemberUndevice,
    Scope,
)
from app.statements.statement import parse_statement

ACT_VALID_SECONDS = 30 * 86_400


async def delegate(
    client: Client, case_id: bytes, member: str, scope: tuple[Scope, ...], *, days: int, notes: str | None = None
) -> tuple[CaseDelegate, Receipt]:
    """Let a member (by id) act in a case for so many days; return what was said, and the receipt. Raises Refused.

    The case's title is sealed to him anew, where this person can open it and knows his recipient: by his enrolment, or
    by `notes` (`age1pq1…`). Other words that were sealed before are not: who wrote them chose for whom.
    """
    state = await client.sync()
    person, title = state.view.find(Person, member), await title_of(client, state, case_id)
    recipient = notes if notes is not None else person.notes if person is not None else None
    note = await client.put_note(title, (), (recipient,)) if title is not None and recipient is not None else None
    until = client.clock() + days * 86_400
    claims = CaseDelegate(case_id=case_id, delegate=member, scope=scope, until=until, note=note)
    return claims, await client.post(claims)


async def title_of(client: Client, state: State, case_id: bytes) -> str | None:
    """The case's title, from a note that is sealed to this person; None where there is none."""
    for entry in state.entries.values():
        claims = parse_statement(entry.statement).claims
        if not isinstance(claims, CaseOpen | CaseParty | CaseDelegate) or claims.case_id != case_id:
            continue
        to = claims.member if isinstance(claims, CaseParty) else None
        to = claims.delegate if isinstance(claims, CaseDelegate) else to
        if claims.note is None or to not in (None, state.member):
            continue
        try:
            return (await client.read_note(claims.note)).words
        except (Mismatch, Refused):
            continue  # sealed to somebody else
    return None


async def undelegate(client: Client, case_id: bytes, member: str) -> Receipt:
    """End it. Raises Refused (unknown_delegation)."""
    await client.sync()
    return await client.post(CaseUndelegate(case_id=case_id, delegate=member))


async def new_key(client: Client, member: str, card: Card) -> Receipt:
    """Give a member the keys of a card: his own word with his old key, or a registrar's for one who lost his.

    The old key is retired for good. For an office a registrar's word waits for the authority. Raises Refused.
    """
    state = await client.sync()
    person = person_of(state.view, member)
    claims = MemberKey(member=person.id, role=person.role, key=card.key, notes=card.notes)
    return await client.post(claims, valid_seconds=ACT_VALID_SECONDS)


async def add_device(client: Client, card: Card) -> Receipt:
    """Name a further device of one's own, by the card made on it. Raises Refused (wrong_signer, key_in_use, …)."""
    person = (await client.sync()).me
    claims = MemberDevice(member=person.id, role=person.role, key=card.key, notes=card.notes)
    return await client.post(claims)


async def remove_device(client: Client, key: str, member: str | None = None) -> Receipt:
    """Retire a device by its key's thumbprint: one's own, or as a registrar another member's. Raises Refused."""
    state = await client.sync()
    person = person_of(state.view, member) if member is not None else state.me
    return await client.post(MemberUndevice(member=person.id, role=person.role, key=key))
