"""The same rules over statements that somebody else admitted: clients and verifiers believe nobody's projections.

A replay begins with the genesis that the trust file pins. Every statement is decided again, at its leaf's time, on the
state that the ones before it made; a refusal is the registry's fault and is named with its index.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from app.errors import Mismatch
from app.rules.act import Circumstances, SeenFacts
from app.rules.decide import Admitted, Law, Refusal, decide
from app.rules.erasures import NONE, Erasures, Foretelling
from app.rules.view import WholeView
from app.statements.statement import digest_of, parse_leaf, parse_statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A ledger entry with its statement: index, leaf text, compact JWS. That the leaf is there was proven before."""

    index: int
    leaf: str
    statement: str


class Entered(Protocol):
    """The digests of the statements that were entered; a set is one."""

    def __contains__(self, digest: object, /) -> bool: ...

    def add(self, digest: bytes, /) -> None:
        """Take one over."""
        ...


class Replay:
    """Decides entries one after another, in ledger order; `view` is the state so far."""

    def __init__(
        self,
        *,
        origin: str,
        genesis: bytes,
        seen: Callable[[int, int], SeenFacts] | None = None,
        law: Law = decide,
        view: WholeView | None = None,
        entered: Entered | None = None,
        erasures: Erasures = NONE,
    ) -> None:
        """`seen(size, before)` tells what the ledger knows of its first `size` entries, as of index `before`.

        None when single entries are shown and not the whole ledger: then `seen` is not checked. `law` is an argument
        so that a dishonest registry can be played to the end and be found out. `view` and `entered` are empty ones that
        keep their content elsewhere; by default both are in memory. `erasures` are those that took effect anywhere on
        the ledger: what they erased is not shown any more, and what else names it is told so.
        """
        self.view = WholeView() if view is None else view
        self._origin, self._genesis, self._seen, self._law = origin, genesis, seen, law
        self._last, self._time = -1, 0
        self._digests: Entered = set[bytes]() if entered is None else entered
        self._foretelling = Foretelling(self.view, erasures.deposits)

    def add(self, entry: Entry) -> Admitted:
        """Decide one entry.

        Raises Mismatch (`replay_refused`, `leaf_mismatch`, `out_of_order`, `back_dated`, `entered_twice`).
        """
        what = f"the entry at index {entry.index}"
        if entry.index <= self._last:
            raise Mismatch(f"{what} comes after {self._last}", "Show entries in ledger order.", code="out_of_order")
        leaf = parse_leaf(entry.leaf)
        if leaf.digest != digest_of(entry.statement):
            raise Mismatch(
                f"{what}: the leaf names the statement {leaf.digest.hex()}, and another is shown",
                "Ask for the statement of that digest.",
                code="leaf_mismatch",
            )
        check_time(leaf.time, self._time, what)
        if leaf.digest in self._digests:
            # Most rules refuse a second time by themselves; an assignment or a roster played again would supersede.
            raise Mismatch(
                f"{what}: the statement {leaf.digest.hex()} is on the ledger already",
                "The registry entered one signed act twice. Keep this; tell the authority and the witnesses.",
                code="entered_twice",
            )
        statement = parse_statement(entry.statement)
        seen = self._seen(statement.envelope.seen.size, entry.index) if self._seen else None
        circumstances = Circumstances(
            now=leaf.time, index=entry.index, origin=self._origin, genesis=self._genesis, seen=seen
        )
        verdict = self._law(self._foretelling, statement, circumstances)
        if isinstance(verdict, Refusal):
            raise Mismatch(
                f"{what} ({statement.kind}) must not have been admitted: {verdict.message}",
                "The registry broke its own rules. Keep this; tell the authority and the witnesses.",
                code="replay_refused",
            )
        if verdict.leaf != entry.leaf:
            raise Mismatch(f"{what}: the leaf should be {verdict.leaf}", code="leaf_mismatch")
        self.view.evolve(verdict.changes)
        self._last, self._time = entry.index, leaf.time
        self._digests.add(leaf.digest)
        return verdict

    def pass_over(self, index: int, leaf_text: str) -> None:
        """Go on behind an entry whose statement was erased. Raises Mismatch (`out_of_order`, `back_dated`)."""
        what = f"the entry at index {index}"
        if index <= self._last:
            raise Mismatch(f"{what} comes after {self._last}", "Show entries in ledger order.", code="out_of_order")
        leaf = parse_leaf(leaf_text)
        check_time(leaf.time, self._time, what)
        self._last, self._time = index, leaf.time
        self._digests.add(leaf.digest)

    def extend(self, entries: Iterable[Entry]) -> None:
        """Decide many entries."""
        for entry in entries:
            self.add(entry)


def check_time(time: int, before: int, what: str) -> None:
    """Check that an entry's time is not before that of an entry ahead of it. Raises Mismatch (`back_dated`)."""
    if time < before:
        raise Mismatch(
            f"{what}: its leaf says {time}, and an entry ahead of it says {before}",
            "The registry signed a time that went backwards. Keep this; tell the authority and the witnesses.",
            code="back_dated",
        )
