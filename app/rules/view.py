"""What a decision may look at: aggregates by key, with the changes of earlier decisions laid over them."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from app.rules.aggregates import Aggregate, key_of

A = TypeVar("A", bound=Aggregate)


class View(Protocol):
    """Aggregates at exactly one ledger size."""

    def find(self, of: type[A], id: str) -> A | None:
        """Return the aggregate, or None where there is none."""
        ...


class NotLoaded(Exception):  # not an error of the domain: the shell loads `key` and decides again
    """The view has not loaded this aggregate yet."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class WholeView:
    """Everything in memory: what a replay builds."""

    def __init__(self, aggregates: Iterable[Aggregate] = ()) -> None:
        self.aggregates: dict[str, Aggregate] = {key_of(each): each for each in aggregates}

    def find(self, of: type[A], id: str) -> A | None:
        found = self.aggregates.get(f"{of.PREFIX}/{id}")
        return found if isinstance(found, of) else None

    def evolve(self, changes: Iterable[Aggregate]) -> None:
        """Lay changes over what is here."""
        for each in changes:
            self.aggregates[key_of(each)] = each


class PartialView:
    """What the shell has loaded so far, absent ones included. Asking for anything else raises NotLoaded."""

    def __init__(self, loaded: Mapping[str, Aggregate | None]) -> None:
        self._loaded = loaded

    def find(self, of: type[A], id: str) -> A | None:
        key = f"{of.PREFIX}/{id}"
        if key not in self._loaded:
            raise NotLoaded(key)
        found = self._loaded[key]
        return found if isinstance(found, of) else None
