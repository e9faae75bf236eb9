"""Who asks, and what he may read: tokens and the readers column, over the projections."""

import secrets
from collections.abc import Callable

from app.errors import Refused
from app.rules.aggregates import KeyHolder, Person
from app.rules.readers import reads_topic
from app.rules.view import View
from app.service.projections import Projections
from app.service.tokens import LIFETIME, Challenge, Sealer, Token, read_response


class Gate:
    """Gives challenges and tokens, and says whose a token is."""

    def __init__(self, sealer: Sealer, projections: Projections, clock: Callable[[], int]) -> None:
        self._sealer, self._projections, self._clock = sealer, projections, clock

    def challenge(self, kid: str) -> tuple[str, int]:
        """Return a challenge for the key and when it expires. Nothing is stored; the key need not be known."""
        expires = self._clock() + LIFETIME
        made = Challenge(origin=self._sealer.origin, kid=kid, nonce=secrets.token_bytes(16), expires=expires)
        return self._sealer.seal(made), expires

    async def token(self, response: str) -> tuple[str, int]:
        """Return a token for a signed challenge and when it expires. Raises BadInput, Refused."""
        kid, _ = read_response(response)
        holder, _ = await self._member(kid)
        self._sealer.check_response(response, holder.key, self._clock())
        expires = self._clock() + LIFETIME
        return self._sealer.seal(Token(origin=self._sealer.origin, kid=kid, expires=expires)), expires

    async def person(self, token: str) -> Person:
        """Return the member who asks: active now, and the token's key still his. Raises Refused (401)."""
        opened = self._sealer.open(Token, token, self._clock())
        return (await self._member(opened.kid))[1]

    async def _member(self, kid: str) -> tuple[KeyHolder, Person]:
        def look(view: View) -> tuple[KeyHolder, Person] | None:
            holder = view.find(KeyHolder, kid)
            if holder is None or holder.retired or holder.member is None:
                return None
            person = view.find(Person, holder.member)
            return (holder, person) if person is not None and person.active else None

        found = await self._projections.ask(look)
        if found is None:
            raise Refused(
                f"the key {kid} is not the current key of an active member",
                "Ask with your current identity key.",
                code="unauthorized",
            )
        return found


async def may_read(projections: Projections, topic: str | None, person: Person | None) -> bool:
    """Whether a person (None: anyone) may read a statement of a topic (None: public).

    What was done to a member is read, too, by whoever shares a case with him.
    """
    if topic is None:
        return True
    if person is None:
        return False
    reader, subject = person, topic
    if await projections.ask(lambda view: reads_topic(view, subject, reader, projections.now())):
        return True
    if not topic.startswith("member/"):
        return False
    cases = [each for each in await projections.linked(topic) if each.startswith("case/")]
    return await projections.ask(lambda view: any(reads_topic(view, each, reader, projections.now()) for each in cases))
