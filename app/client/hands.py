"""More than one pair of hands: letting others act in a case, ending that, and new keys for a member who lost his."""

from app.client.home import Card
from app.client.session import Client, Receipt
from app.rules.act import person_of
from app.statements.kinds import CaseDelegate, CaseUndelegate, MemberDevice, MemberKey, MemberUndevice, Scope

ACT_VALID_SECONDS = 30 * 86_400


async def delegate(
    client: Client, case_id: bytes, member: str, scope: tuple[Scope, ...], *, days: int
) -> tuple[Receipt, int]:
    """Let a member (by id) act in a case for so many days; return the receipt and until when. Raises Refused."""
    await client.sync()
    until = client.clock() + days * 86_400
    return await client.post(CaseDelegate(case_id=case_id, delegate=member, scope=scope, until=until)), until


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
