"""A person's client at one registry: what is there, proven; what he says, signed, posted and proven.

`sync` believes nobody: (1) the newest checkpoint must be signed as the trust file's policy demands; (2) it must extend
the one accepted last; (3) all leaves are loaded and the roots of both are computed again; (4) every public statement
must be there, and be the one that its leaf names; (5) the private ones that concern this person are put at their
places; (6) the rules replay everything from the genesis that the trust file pins; (7) what is kept here of deposits
that were erased is destroyed. What comes out is a `State`.

What it cannot see: private statements that the service does not show it at all.
"""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from app.client.api import Api
from app.client.cache import Cache, Private, PrivateEntry
from app.client.faults import ledger_fault
from app.client.forgetting import forget_erased
from app.client.home import Home, Keys, Vault
from app.client.leaves import Leaves
from app.client.notes import Note, open_note, seal_note
from app.client.problems import ServiceRefused
from app.errors import BadInput, CannotTell, Mismatch, Refused
from app.rules.act import SeenFacts
from app.rules.aggregates import KeyHolder, Person
from app.rules.decide import Law, decide
from app.rules.erasures import NONE, Erasures, erasures_of
from app.rules.replay import Entry, Replay
from app.rules.view import WholeView
from app.sealing.header import Rng
from app.statements.disclosure import NamedDisclosure
from app.statements.kinds import CaseDelegate, CaseParty, Claims, leaf_kind
from app.statements.statement import (
    Seen,
    Signer,
    Statement,
    digest_of,
    parse_leaf,
    parse_statement,
)
from app.statements.trust import Trust, check_founders
from ledger.checkpoint import Checkpoint
from ledger.errors import LedgerError
from ledger.merkle import leaf_hash
from ledger.note import Note as SignedNote
from ledger.policy import Verified
from ledger.proof import Proof
from ledger.tiles import TILE_WIDTH, Bundle, decode_bundle

VALID_SECONDS = 3600
FRESH_SECONDS = 600
"""A state older than this is renewed before something is signed on it."""
_PARALLEL = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The ledger at one checkpoint, as this person may see it, replayed. Later syncs do not change it."""

    view: WholeView
    checkpoint: Checkpoint
    signed: str
    """The checkpoint with its signatures, verbatim."""
    entries: Mapping[int, Entry]
    """What this person may read, by ledger index."""
    indices: Mapping[bytes, int]
    """The index of each of them, by the statement's digest."""
    leaves: Leaves
    member: str | None
    """This person's member id, if he is enrolled as far as can be seen."""
    taken_at: int
    """When, Unix seconds by this machine's clock."""

    @property
    def seen(self) -> Seen:
        """What a statement signed on this state says that it saw."""
        return Seen(size=self.checkpoint.size, root=self.checkpoint.root)

    @property
    def me(self) -> Person:
        """This person as a member. Raises Refused (not_a_member)."""
        person = self.view.find(Person, self.member) if self.member else None
        if person is None:
            raise Refused(
                "you are not a member of this registry, as far as your client can see",
                "Hand your identity.json to the registrar.",
                code="not_a_member",
            )
        return person

    def statement(self, digest: bytes) -> Statement:
        """A statement by its digest. Raises Refused (unknown_statement)."""
        index = self.indices.get(digest)
        if index is None:
            raise Refused(
                f"no statement {digest.hex()} is on the ledger at size {self.checkpoint.size}, or you may not read it",
                "Check the digest.",
                code="unknown_statement",
            )
        return parse_statement(self.entries[index].statement)

    def proof(self, index: int) -> str:
        """The C2SP tlog-proof of an entry under this state's checkpoint."""
        return Proof(index=index, path=self.leaves.path(index, self.checkpoint.size), checkpoint=self.signed).format()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """An admitted statement: its place, proven under a checkpoint that meets the trust file's policy."""

    statement: Statement
    index: int
    leaf: str
    tlog_proof: str
    fresh: bool
    """False when the service had admitted it before."""


class Client:
    """One person at one registry. Async context manager; not to be shared between event loops."""

    def __init__(
        self,
        home: Home,
        keys: Keys,
        trust: Trust,
        service: str | Sequence[str],
        *,
        clock: Callable[[], int],
        rng: Rng = os.urandom,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        law: Law = decide,
    ) -> None:
        """`service`: one address, or several of one registry.

        `law` is an argument so that a dishonest registry can be shown to its end; no setting reaches it.
        """
        self.home, self.keys, self.trust = home, keys, trust
        self.clock, self.rng, self._law = clock, rng, law
        self.vault = Vault(home, keys, rng)
        self.signer = keys.signer
        self.api = Api(service, origin=trust.origin, signer=self.signer, clock=clock, pause=pause)
        self.state: State | None = None
        self.forgotten: tuple[str, ...] = ()
        """What was destroyed here since the client was made, because an erasure took effect: `area/name`."""
        self._cache = Cache(home, self.vault)
        self._public: dict[bytes, str] | None = None
        self._leaves: Leaves | None = None
        self._private: Private | None = None
        self._replay: Replay | None = None
        self._replayed: dict[int, Entry] = {}

    async def __aenter__(self) -> Self:
        await self.api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.api.__aexit__(kind, error, trace)

    async def sync(self) -> State:
        """Bring this person's view of the ledger up to date; see the module for the steps.

        Raises Mismatch (checkpoint_older, forked, bad_entries, statement_withheld, altered_statement, leaf_mismatch,
        replay_refused, …), CannotTell (quorum_missing), Unreachable.
        """
        # Read before the checkpoint is fetched: another process of the same person may accept a newer one meanwhile.
        remembered = self._remembered()
        signed, checkpoint = await self._newest(remembered)  # 1
        self._check_extends(remembered, checkpoint, signed)  # 2
        leaves = await self._load_leaves(remembered, checkpoint, signed)  # 3
        public = await self._load_public(leaves)  # 4
        erasures = _erasures(leaves, public)
        private = _without(await self._load_private(leaves), erasures)  # 5
        entries = self._arrange(leaves, public, private)
        view = await asyncio.to_thread(self._replay_all, entries, erasures)  # 6
        if private != self._private:
            # Kept only now: what the rules refused is asked for again, from a service that may have mended its ways.
            self._private = private
            self._cache.set_private(private)
        kept = self._remembered()
        if kept is None or kept.size < checkpoint.size:
            self.home.set_checkpoint(signed)
        self.forgotten += forget_erased(self.home, self.vault, leaves, erasures)  # 7
        holder = view.find(KeyHolder, self.signer.kid)
        self.state = State(
            view=view,
            checkpoint=checkpoint,
            signed=signed,
            entries=entries,
            indices={digest_of(entry.statement): index for index, entry in entries.items()},
            leaves=leaves,
            member=holder.member if holder is not None and not holder.retired else None,
            taken_at=self.clock(),
        )
        return self.state

    async def fresh_state(self) -> State:
        """The state of the last sync, renewed when it is older than FRESH_SECONDS."""
        if self.state is None or self.clock() - self.state.taken_at > FRESH_SECONDS:
            return await self.sync()
        return self.state

    async def sign(
        self, claims: Claims, *, valid_seconds: int = VALID_SECONDS, signer: Signer | None = None
    ) -> Statement:
        """Sign claims, by this person's key or another one that he holds, on a fresh `seen`."""
        state = await self.fresh_state()
        now = self.clock()
        return (signer or self.signer).sign(
            claims, aud=self.trust.origin, iat=now, exp=now + valid_seconds, jti=self.rng(16), seen=state.seen
        )

    async def submit(self, statement: Statement) -> Receipt:
        """Post a signed statement and verify the receipt. Posting the same one again is safe, and gives the same.

        Raises Refused by the rule's code, Mismatch (bad_receipt), CannotTell (quorum_missing), Unreachable: then the
        outcome is unknown, and the same statement is to be submitted again.
        """
        posted = await self.api.post_statement(statement.text)
        self._check_receipt(statement, posted.index, posted.digest, posted.leaf, posted.tlog_proof)
        return Receipt(
            statement=statement,
            index=posted.index,
            leaf=posted.leaf,
            tlog_proof=posted.tlog_proof,
            fresh=posted.fresh,
        )

    async def post(
        self, claims: Claims, *, valid_seconds: int = VALID_SECONDS, signer: Signer | None = None
    ) -> Receipt:
        """Sign and submit."""
        return await self.submit(await self.sign(claims, valid_seconds=valid_seconds, signer=signer))

    async def confirm(self, receipt: Receipt) -> State:
        """Sync, and check that the receipt's entry stands in the ledger that was loaded and replayed as a whole.

        Raises Mismatch (bad_receipt) beside what `sync` does: then the receipt was given for another ledger.
        """
        state = await self.sync()
        if receipt.index >= len(state.leaves) or state.leaves.texts[receipt.index] != receipt.leaf:
            raise Mismatch(
                f"the entry {receipt.index} of the receipt is not in the ledger of size {state.checkpoint.size} "
                "that the same service shows",
                "Keep both: this is a fork. Tell the authority and the witnesses.",
                code="bad_receipt",
            )
        return state

    async def put_note(
        self, words: str | None, disclosures: Sequence[NamedDisclosure], recipients: Sequence[str]
    ) -> bytes:
        """Seal a note to recipients `age1pq1…` and to its writer, store it, return the SHA-256 that names it."""
        own = self.keys.notes.recipient.format()
        file = seal_note(Note(words=words, disclosures=tuple(disclosures)), [*recipients, own], self.rng)
        sha256 = hashlib.sha256(file).digest()
        await self.api.put_note(sha256, file)
        return sha256

    async def read_note(self, sha256: bytes) -> Note:
        """Load and open a sealed note. Raises Mismatch when the service serves another file, or it is not for us."""
        file = await self.api.note(sha256)
        if hashlib.sha256(file).digest() != sha256:
            raise Mismatch(
                f"the service serves another note than {sha256.hex()}", "Tell the registrar.", code="altered_note"
            )
        return open_note(file, self.keys.notes)

    def verify_checkpoint(self, signed: str) -> Verified:
        """Check a signed checkpoint as the trust file's policy demands, quorum included."""
        try:
            verified = self.trust.policy.verify(signed)
            verified.demand_quorum()
        except LedgerError as error:
            raise ledger_fault(error, "the checkpoint of the service") from error
        return verified

    # The steps of sync

    def _remembered(self) -> Checkpoint | None:
        signed = self.home.checkpoint()
        if signed is None:
            return None
        try:
            checkpoint = Checkpoint.parse_body(SignedNote.parse(signed).text, allow_extensions=True)
        except LedgerError as error:
            raise BadInput(
                f"{self.home.path / 'checkpoint'} is damaged: {error.message}",
                "Restore it from a backup; without it a fork may go unnoticed.",
                code="damaged_home",
            ) from error
        if checkpoint.origin != self.trust.origin:
            raise BadInput(
                f"this home accepted checkpoints of {checkpoint.origin}, and the trust file is for {self.trust.origin}",
                "Use another MUNIMENT_HOME for another registry.",
                code="wrong_home",
            )
        return checkpoint

    async def _newest(self, remembered: Checkpoint | None) -> tuple[str, Checkpoint]:
        """Fetch a checkpoint that was signed as demanded; the next replica is asked while one lags behind."""
        addresses = self.api.addresses
        for left in reversed(range(len(addresses.all))):
            asked = addresses.current
            signed = await self.api.checkpoint()
            try:
                checkpoint = self.verify_checkpoint(signed).checkpoint
            except CannotTell:
                # A replica that lags behind may have no quorum for what it shows.
                if not left:
                    raise
            else:
                if not left or remembered is None or checkpoint.size >= remembered.size:
                    return signed, checkpoint
            addresses.leave(asked)
        raise AssertionError("the last address was asked")

    def _check_extends(self, remembered: Checkpoint | None, checkpoint: Checkpoint, signed: str) -> None:
        if remembered is None:
            return
        if checkpoint.size < remembered.size:
            raise Mismatch(
                f"the service shows a checkpoint of size {checkpoint.size} (root {checkpoint.root.hex()}), older than "
                f"the one accepted before, of size {remembered.size} (root {remembered.root.hex()})",
                "Try again; if it stays, the registry was rolled back. Tell the authority and the witnesses.",
                code="checkpoint_older",
            )
        if checkpoint.size == remembered.size and checkpoint.root != remembered.root:
            raise self._forked(remembered, checkpoint, signed)

    def _forked(self, remembered: Checkpoint, checkpoint: Checkpoint, signed: str) -> Mismatch:
        kept = self.home.keep_fork(f"{checkpoint.size}-{checkpoint.root.hex()[:16]}", signed)
        return Mismatch(
            f"the service shows a checkpoint of size {checkpoint.size} (root {checkpoint.root.hex()}) that does not "
            f"extend the one accepted before, of size {remembered.size} (root {remembered.root.hex()})",
            f"This is a fork. Both are kept ({kept}); show them to the authority and the witnesses.",
            code="forked",
        )

    async def _load_leaves(self, remembered: Checkpoint | None, checkpoint: Checkpoint, signed: str) -> Leaves:
        cached = self._leaves.copy() if self._leaves is not None else self._cached_leaves()
        kept = len(cached)
        if kept > checkpoint.size or (remembered is not None and not _holds(cached, remembered, partly=True)):
            cached, kept = Leaves(), 0
        await self._download(cached, checkpoint.size)
        if cached.root(checkpoint.size) != checkpoint.root and kept:
            # The cache may be at fault: only what the service itself shows is held against it.
            cached, kept = Leaves(), 0
            await self._download(cached, checkpoint.size)
        if remembered is not None and not _holds(cached, remembered):
            raise self._forked(remembered, checkpoint, signed)
        if cached.root(checkpoint.size) != checkpoint.root:
            raise Mismatch(
                f"the entries that the service serves do not lead to the root that it signed at size {checkpoint.size}",
                "Keep the answers; tell the authority and the witnesses.",
                code="bad_entries",
            )
        self._cache.set_leaves(cached.texts, kept=kept)
        self._leaves = cached
        return cached

    def _cached_leaves(self) -> Leaves:
        try:
            return Leaves(self._cache.leaves())
        except Mismatch:
            return Leaves()

    async def _download(self, leaves: Leaves, size: int) -> None:
        while len(leaves) < size:
            index = len(leaves) // TILE_WIDTH
            bundle = Bundle(index=index, width=min(TILE_WIDTH, size - index * TILE_WIDTH))
            try:
                found = decode_bundle(await self.api.bundle(bundle), bundle.width)
                texts = [each.decode("utf-8") for each in found]
            except LedgerError as error:
                raise ledger_fault(error, f"the entries {bundle.path}") from error
            except UnicodeDecodeError:
                raise Mismatch(f"the entries {bundle.path} are not UTF-8", code="bad_entries") from None
            if any("\n" in text for text in texts):
                raise Mismatch(f"the entries {bundle.path} hold a line break", code="bad_entries")
            leaves.extend(texts[len(leaves) % TILE_WIDTH :])

    async def _load_public(self, leaves: Leaves) -> Mapping[bytes, str]:
        if self._public is None:
            self._public = self._cache.statements()
        known = self._public
        wanted = [
            (index, leaf.digest)
            for index, leaf in enumerate(leaves.parsed)
            if leaf.kind != "private" and leaf.digest not in known
        ]
        gate = asyncio.Semaphore(_PARALLEL)

        async def load(index: int, digest: bytes) -> str:
            async with gate:
                try:
                    text = await self.api.statement(digest)
                except Refused as error:
                    raise Mismatch(
                        f"the service withholds the public statement {digest.hex()} at index {index}: {error.message}",
                        "Ask the registrar for it; tell the authority and the witnesses.",
                        code="statement_withheld",
                    ) from error
            if not text.isascii() or digest_of(text) != digest:
                raise Mismatch(
                    f"the service serves another statement than {digest.hex()} at index {index}",
                    "Keep the answer; tell the authority and the witnesses.",
                    code="altered_statement",
                )
            return text

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(load(index, digest)) for index, digest in wanted]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        texts = [task.result() for task in tasks]
        known.update({digest_of(text): text for text in texts})
        self._cache.add_statements(texts)
        return known

    async def _load_private(self, leaves: Leaves) -> Private:
        private = self._private or self._cache.private(self.trust.genesis)
        if private.size > len(leaves):
            private = _nothing(self.trust.genesis)
        if private.size == len(leaves):
            return private
        try:
            me = await self.api.me()
        except ServiceRefused as error:
            if error.status not in (401, 403, 404, 409):
                raise
            # Not enrolled, or not any more. What was proven before stays: no service can make a client forget.
            return private
        found = {each.index: each.statement for each in private.entries}
        joined = False
        for case_id in me.cases:
            after = private.size - 1 if case_id in private.cases else -1
            listed = await self.api.case_statements(case_id, after)
            joined = joined or any(_is_joining(each.statement) for each in listed if after >= 0)
            found.update({each.index: each.statement for each in listed})
        if joined:
            # Who joins a case brings statements about himself that may be older than what was loaded before.
            for case_id in me.cases:
                found.update({each.index: each.statement for each in await self.api.case_statements(case_id)})
        found.update({each.index: each.statement for each in await self.api.member_statements(private.size - 1)})
        # What came after the checkpoint that this sync rests on is left for the next one.
        entries = tuple(
            PrivateEntry(index=index, statement=text) for index, text in sorted(found.items()) if index < len(leaves)
        )
        cases = me.cases
        return Private(genesis=self.trust.genesis, size=len(leaves), cases=cases, entries=entries)

    def _arrange(self, leaves: Leaves, public: Mapping[bytes, str], private: Private) -> dict[int, Entry]:
        entries = {}
        hidden = {each.index: each.statement for each in private.entries}
        for index, (text, leaf) in enumerate(zip(leaves.texts, leaves.parsed, strict=True)):
            statement = hidden.get(index) if leaf.kind == "private" else public[leaf.digest]
            if statement is not None:
                entries[index] = Entry(index=index, leaf=text, statement=statement)
        return entries

    def _replay_all(self, entries: Mapping[int, Entry], erasures: Erasures) -> WholeView:
        before = self._replayed
        last = max(before, default=-1)
        extends = all(entries.get(index) == entry for index, entry in before.items())
        extends = extends and all(index > last for index in entries.keys() - before.keys())
        if self._replay is None or not extends:
            self._replay = Replay(
                origin=self.trust.origin, genesis=self.trust.genesis, seen=self._facts, law=self._law, erasures=erasures
            )
            before = {}
        self._replayed = {}
        replay, self._replay = self._replay, None  # a replay that fails half-way is not used again
        for index in sorted(entries.keys() - before.keys()):
            try:
                replay.add(entries[index])
            except BadInput as error:
                raise _malformed(f"the statement at index {index}", error) from error
            if index == 0:
                check_founders(self.trust, parse_statement(entries[0].statement))
        self._replay, self._replayed = replay, dict(entries)
        return WholeView(replay.view.aggregates.values())

    def _facts(self, size: int, before: int) -> SeenFacts:
        return (self._leaves or Leaves()).facts(size, before)

    def _check_receipt(self, statement: Statement, index: int, digest: bytes, leaf_text: str, proof_text: str) -> None:
        try:
            leaf = parse_leaf(leaf_text)
        except BadInput as error:
            raise _bad_receipt(error.message) from error
        if digest != statement.digest or leaf.digest != statement.digest:
            raise _bad_receipt(f"it is for the statement {leaf.digest.hex()}, not for {statement.digest.hex()}")
        if leaf.kind != leaf_kind(statement.kind, statement.claims):
            raise _bad_receipt(f"its leaf says {leaf.kind}")
        try:
            proof = Proof.parse(proof_text)
            verified = proof.verify(self.trust.policy, leaf_hash(leaf_text.encode()))
        except LedgerError as error:
            raise _bad_receipt(error.message) from error
        if proof.index != index or verified.checkpoint.origin != self.trust.origin:
            raise _bad_receipt(f"its proof is for index {proof.index} of {verified.checkpoint.origin}")
        self.verify_checkpoint(proof.checkpoint)


def _is_joining(text: str) -> bool:
    try:
        return isinstance(parse_statement(text).claims, CaseParty | CaseDelegate)
    except BadInput as error:
        raise _malformed("a statement of a case", error) from error


def _malformed(what: str, error: BadInput) -> Mismatch:
    return Mismatch(
        f"{what} is not in the form of one: {error.message}",
        "The registry admitted or serves what it must not. Keep this; tell the authority and the witnesses.",
        code="malformed_statement",
    )


def _erasures(leaves: Leaves, public: Mapping[bytes, str]) -> Erasures:
    """What was erased, from the public acts and their approvals, which the replay decides again."""
    kinds = ("genesis", "approval", "erase")
    if not any(leaf.kind == "erase" for leaf in leaves.parsed):
        return NONE
    return erasures_of(parse_statement(public[leaf.digest]) for leaf in leaves.parsed if leaf.kind in kinds)


def _without(private: Private, erasures: Erasures) -> Private:
    """What is kept here of the cases, without what was erased: this client forgets it, too."""
    gone = erasures.entries
    return replace(private, entries=tuple(each for each in private.entries if each.index not in gone))


def _nothing(genesis: bytes) -> Private:
    return Private(genesis=genesis, size=0, cases=(), entries=())


def _holds(leaves: Leaves, checkpoint: Checkpoint, *, partly: bool = False) -> bool:
    """Whether the leaves lead to the checkpoint's root; with `partly`, fewer leaves than its size may be there."""
    if len(leaves) < checkpoint.size:
        return partly
    return leaves.root(checkpoint.size) == checkpoint.root


def _bad_receipt(why: str) -> Mismatch:
    return Mismatch(
        f"the receipt of the service does not hold: {why}",
        "The statement may or may not be on the ledger. Keep the receipt, sync, and tell the registrar.",
        code="bad_receipt",
    )
