"""A deposit between two rounds of anchors, by time-stamp authorities and a chain of blocks: a proof of every level."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from app.canonical import format_json
from app.client.anchors import choose_anchors
from app.client.api import StoredAnchor
from app.client.proof import make_proof
from app.demo.calendar import BlockChain, LoopbackCalendar
from app.demo.pki import LoopbackPki, Token, make_token
from app.statements.kinds import Anchor
from app.statements.prooffile import choose
from app.statements.trust import Trust, parse_trust
from app.statements.trust_time import TsaTrust, headers_json, make_authority, tsa_json
from ledger.anchors.headers import HEADER_BYTES
from ledger.anchors.ots import complete_paths, new_stamp, parse_reply, pending_of
from ledger.anchors.stamped import stamped_text
from tests.app.client.world_service import checkpoint_of
from tests.app.rules.world import START, World
from tests.app.verify.proofs import ALL_SLOTS, Made, deposited, panelled

STEP = 3600


@dataclass
class Clock:
    """Seconds that both the authorities and the chain go by."""

    now: int = START

    def __call__(self) -> int:
        return self.now


@dataclass
class Anchored:
    """A world with anchors, who made them, and the store that a service would serve them from."""

    clock: Clock = field(default_factory=Clock)
    store: dict[bytes, StoredAnchor] = field(default_factory=dict)
    ahead: int = 0
    """Seconds by which the registry's clock is ahead of everybody's from the deposit on."""

    def __post_init__(self) -> None:
        self.pki = LoopbackPki("http://pki.example", clock=self.clock, tsas=3)
        self.chain = BlockChain(clock=self.clock)
        self.calendar = LoopbackCalendar("http://calendar.example", self.chain)
        self.world, self.ceremony, self.case_id = panelled()
        self.clock.now = self.world.now
        self.chain.extend(3)
        self.round()
        self.pass_time()
        self.world.now += self.ahead
        self.made: Made = deposited(self.world, self.ceremony, self.case_id)
        self.world.open_case("later")
        self.pass_time()
        self.round()

    def pass_time(self, seconds: int = STEP) -> None:
        """Move all clocks."""
        self.world.now += seconds
        self.clock.now += seconds

    def stamped(self) -> str:
        keys = [log.key for log in parse_trust(self.trust_text()).policy.logs]
        return stamped_text(checkpoint_of(self.world.entries), keys)

    def round(self, *, tsas: tuple[int, ...] = (0, 1), blocks: bool = True, **changes: object) -> None:
        """Have the newest checkpoint anchored, and the anchors entered."""
        text, seen = self.stamped(), self.world.seen_now()
        made = [self.token(text, number, **changes) for number in tsas]
        if blocks:
            made.append(self.proof_in_a_block(text))
        for form, anchor, headers in made:
            self.enter(form, StoredAnchor(checkpoint=text, anchor=anchor, headers=headers), seen)

    def enter(self, form: Any, stored: StoredAnchor, seen: Any) -> None:
        digest = hashlib.sha256(stored.anchor).digest()
        self.store[digest] = stored
        self.world.do("service", Anchor(form=form, anchor=digest), seen=seen)

    def token(self, text: str, number: int, **changes: object) -> tuple[str, bytes, None]:
        issued = self.pki.tsas[number].issued
        values: dict[str, Any] = {
            "algorithm": "sha256",
            "imprint": hashlib.sha256(text.encode()).digest(),
            "nonce": None,
            "gen_time": datetime.fromtimestamp(self.clock.now, UTC),
            "certificates": (issued.der,),
            **changes,
        }
        return "rfc3161", make_token(Token(**values), issued), None

    def proof_in_a_block(self, text: str) -> tuple[str, bytes, bytes]:
        digest = hashlib.sha256(text.encode()).digest()
        stamp = new_stamp(digest)
        stamp.merge(parse_reply(self.calendar.submit(digest), digest))
        (pending,) = pending_of(stamp)
        height = self.calendar.confirm()
        assert height is not None
        node = stamp
        while node.msg != pending.message:
            ((_, node),) = node.ops.items()
        node.merge(self.calendar._complete[pending.message])
        ((_, data),) = complete_paths(stamp)
        return "opentimestamps", data, self.chain.raw[height * HEADER_BYTES : (height + 7) * HEADER_BYTES]

    def trust_text(self, *, m: int = 2, tsas: int = 2, chain: int | None = None, headers: bool = True) -> str:
        """A trust file: m of so many authorities, and the chain up to a height (all of it by default)."""
        made = getattr(self, "made", None)
        base = json.loads(_base(self.world) if made is None else made.trust.text)
        if tsas:
            root = self.pki.root_der
            authorities = tuple(make_authority(each.name, [root], each.name) for each in self.pki.tsas[:tsas])
            base["tsa"] = tsa_json(TsaTrust(m=m, authorities=authorities))
        if headers:
            raw = self.chain.raw if chain is None else self.chain.raw[: (chain + 1) * HEADER_BYTES]
            base["headers"] = headers_json(self.chain.checkpoint, raw)
        return format_json(base)

    def trust(self, **options: Any) -> Trust:
        return parse_trust(self.trust_text(**options))

    def proof(self, trust: Trust | None = None, *, now: int | None = None) -> bytes:
        """The proof that the client makes for the holders of `trust`."""
        trust = trust or self.trust()
        state, claims = self.made.state(), self.made.deposit.claims

        async def load(digest: bytes) -> StoredAnchor | None:
            return self.store.get(digest)

        index = state.indices[self.made.deposit.digest]
        chosen = asyncio.run(choose_anchors(state, index, trust, load, now=now or self.clock.now))
        assert chosen.problems == ()
        return make_proof(
            state,
            claims.deposit_id,  # type: ignore[union-attr]
            self.made.manifest,
            choose(self.made.inventory.disclosures, ALL_SLOTS),
            trust,
            anchors=chosen.anchors,
        )


def _base(world: World) -> str:
    from tests.app.client.world_service import trust_of

    return trust_of(world).text


@cache
def anchored() -> Anchored:
    """One, shared: whoever changes it makes his own."""
    return Anchored()


def edited(proof: bytes, number: int, **changes: object) -> bytes:
    """The proof file with one anchor changed."""
    value = json.loads(proof)
    value["anchors"][number].update(changes)
    return format_json(value).encode()


def each_anchor(proof: bytes, wanted: Callable[[dict[str, Any]], bool]) -> int:
    """The number of the first anchor that is wanted."""
    return next(number for number, each in enumerate(json.loads(proof)["anchors"]) if wanted(each))
