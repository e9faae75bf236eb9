"""The pure rules over stored aggregates: load what they ask for, and ask again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from app.rules.act import Circumstances
from app.rules.aggregates import Aggregate, key_of
from app.rules.decide import Admitted, Law, Refusal, decide
from app.rules.view import NotLoaded, PartialView, View
from app.statements.kinds import PanelAck, PanelCard, PanelDeal, PanelOpen
from app.statements.statement import Statement

T = TypeVar("T")
Load = Callable[[str], Awaitable[Aggregate | None]]
"""Key → aggregate, or None where there is none."""
_HEAVY = (PanelCard, PanelOpen, PanelDeal, PanelAck)
"""Ceremonies of 31 judges: up to 73 ms for one decision, which would keep everybody else waiting. See decision 0092."""


class Working:
    """State at one size, with the changes of the entries decided since laid over it."""

    def __init__(self, load: Load, law: Law = decide) -> None:
        self._load, self._law = load, law
        self._loaded: dict[str, Aggregate | None] = {}

    async def decide(self, statement: Statement, circumstances: Circumstances) -> Admitted | Refusal:
        """Decide a statement; nothing is laid over yet. Raises what loading raises."""
        heavy = isinstance(statement.claims, _HEAVY)
        return await self._answer(lambda view: self._law(view, statement, circumstances), in_thread=heavy)

    async def ask(self, question: Callable[[View], T]) -> T:
        """Answer a pure question about the state."""
        return await self._answer(question, in_thread=False)

    async def _answer(self, question: Callable[[View], T], *, in_thread: bool) -> T:
        while True:
            try:
                # Pure, and nothing else touches what is loaded meanwhile: it may run beside the event loop.
                view = PartialView(self._loaded)
                return await asyncio.to_thread(question, view) if in_thread else question(view)
            except NotLoaded as missing:
                self._loaded[missing.key] = await self._load(missing.key)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of what was asked for so far."""
        return frozenset(self._loaded)

    async def preload(self, keys: Iterable[str]) -> None:
        """Load at once what will probably be asked for; each answer then comes without starting again."""
        wanted = sorted(set(keys) - set(self._loaded))
        found = await asyncio.gather(*(self._load(key) for key in wanted))
        self._loaded |= dict(zip(wanted, found, strict=True))

    def evolve(self, changes: Iterable[Aggregate]) -> None:
        """Lay changes over the state."""
        for each in changes:
            self._loaded[key_of(each)] = each
