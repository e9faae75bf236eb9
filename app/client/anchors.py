"""Which anchors a proof carries: the last before the deposit and the first that cover it, as its reader counts them.

The ledger names anchors by hash; their bytes come from the service and are judged here as the reader of the proof will
judge them, under his trust file. What he could not count is left out: a token of an authority that he does not name, a
token whose certificate has ended. What does not hold is left out too, and told: the registry has named a bad anchor.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from app.client.api import StoredAnchor
from app.client.proof import proven
from app.client.session import State
from app.statements.kinds import Anchor
from app.statements.proofanchor import ProofAnchor
from app.statements.statement import parse_statement
from app.statements.trust import Trust
from ledger.anchors.errors import BadAnchor, UnknownAuthority
from ledger.anchors.headers import Chain, locate
from ledger.anchors.ots import parse_complete
from ledger.anchors.stamped import parse_stamped
from ledger.anchors.tsa import verify_token
from ledger.errors import LedgerError

MAX_LOOKED_AT = 64
"""Anchors that are looked at on each side of a deposit before it is given up."""


Load = Callable[[bytes], Awaitable[StoredAnchor | None]]
"""Fetches an anchor by the SHA-256 of its bytes; None where the service has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    index: int
    size: int
    form: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The anchors for a proof, in ledger order, and what was wrong with others."""

    anchors: tuple[ProofAnchor, ...]
    problems: tuple[str, ...]


async def choose_anchors(
    state: State, index: int, trust: Trust, load: Load, *, now: int, chain: Chain | None = None
) -> Chosen:
    """Choose the anchors for the proof of entry `index`. Raises what `load` raises."""
    named = _named(state)
    picker = _Picker(state=state, index=index, trust=trust, load=load, now=now, chain=chain)
    # Newest first before the deposit; after it the smallest checkpoint first.
    before = sorted((each for each in named if each.index < index), key=lambda each: -each.index)
    after = sorted((each for each in named if each.size > index), key=lambda each: (each.size, each.index))
    found = [*await picker.pick(before, covers=False), *await picker.pick(after, covers=True)]
    return Chosen(
        anchors=tuple(anchor for _, anchor in sorted(found, key=lambda pair: pair[0])),
        problems=tuple(picker.problems),
    )


def _named(state: State) -> list[_Named]:
    found = []
    for index, entry in state.entries.items():
        if state.leaves.parsed[index].kind != "anchor":
            continue
        statement = parse_statement(entry.statement)
        if isinstance(statement.claims, Anchor):
            size = statement.envelope.seen.size
            found.append(_Named(index=index, size=size, form=statement.claims.form, digest=statement.claims.anchor))
    return found


class _Picker:
    def __init__(self, *, state: State, index: int, trust: Trust, load: Load, now: int, chain: Chain | None) -> None:
        self._state, self._index, self._trust, self._load, self._now = state, index, trust, load, now
        self._chain = chain
        self.problems: list[str] = []

    async def pick(self, named: Iterable[_Named], *, covers: bool) -> list[tuple[int, ProofAnchor]]:
        """As many time-stamps by different authorities as the trust file asks for, and one Bitcoin proof."""
        tsa = self._trust.tsa
        missing, block = (tsa.m if tsa is not None else 0), True
        authorities: set[str] = set()
        found = []
        for number, each in enumerate(named):
            if number == MAX_LOOKED_AT or (not missing and not block):
                break
            if (each.form == "rfc3161" and not missing) or (each.form == "opentimestamps" and not block):
                continue
            stored = await self._load(each.digest)
            if stored is None:
                self.problems.append(f"the service does not have the anchor {each.digest.hex()} that its ledger names")
                continue
            try:
                authority = self._judge(each, stored)
            except UnknownAuthority:
                continue
            except LedgerError as error:
                self.problems.append(f"the anchor {each.digest.hex()} does not hold: {error.message}")
                continue
            if each.form == "rfc3161":
                if authority is None or authority in authorities:
                    continue
                authorities.add(authority)
                missing -= 1
            else:
                block = False
            found.append((each.index, self._made(each, stored, covers=covers)))
        return found

    def _judge(self, named: _Named, stored: StoredAnchor) -> str | None:
        """Return the authority of a time-stamp that counts; None for one that does not, and for Bitcoin."""
        parse_stamped(stored.checkpoint, [log.key for log in self._trust.policy.logs])
        message = stored.checkpoint.encode()
        if named.form == "rfc3161":
            assert self._trust.tsa is not None  # noqa: S101 - else none is looked for
            token = verify_token(stored.anchor, message, self._trust.tsa.authorities)
            return token.authority if token.ends >= self._now else None
        if stored.headers is None:
            raise BadAnchor("anchor_form", "it comes without block headers")
        attested = parse_complete(stored.anchor)
        trusted = self._trust.headers
        locate(
            attested.height,
            attested.merkle_root,
            stored.headers,
            None if trusted is None else trusted.checkpoint,
            self._chain or (None if trusted is None else trusted.chain),
        )
        return None

    def _made(self, named: _Named, stored: StoredAnchor, *, covers: bool) -> ProofAnchor:
        entry = proven(self._state, named.index, self._trust)
        return ProofAnchor(
            statement=entry.statement,
            leaf=entry.leaf,
            tlog_proof=entry.tlog_proof,
            checkpoint=stored.checkpoint,
            path=self._state.leaves.path(self._index, named.size) if covers else None,
            anchor=stored.anchor,
            headers=stored.headers,
        )
