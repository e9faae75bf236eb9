"""One registry, whole: its parts wired by argument, its start, its periodic work, its end.

Start: the settings are compared with the genesis that founds the ledger; then the projections' watermark, then the
ledger's newest state, verified from stored bytes (a last batch that does not re-derive stops here) and against what was
published last, then the projections catch up. The upkeep looks for what other processes appended, reloads a stopped
sequencer, keeps what is published, locks what is due and sweeps orphans. Scrub and anchors are tasks of their own.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import AppError, BadInput, Mismatch
from app.rules.aggregates import Registry as Founded
from app.rules.decide import Law, decide
from app.service.accept import Door
from app.service.aggregates import REBUILD, DamagedProjection
from app.service.anchor_settings import AnchorTerms
from app.service.anchor_store import AnchorStore
from app.service.anchors import Anchoring
from app.service.arrivals import UploadMode
from app.service.assembly import EvidenceAssembly, Offer
from app.service.downloads import Downloads
from app.service.erasing import Eraser
from app.service.erasures import ErasureIndex
from app.service.history import History
from app.service.locks import LockJob
from app.service.logstore import RecordLogStore
from app.service.notes import NoteStore
from app.service.office import OfficeSettings
from app.service.projections import Projections
from app.service.published import PublishedFile
from app.service.quota import Limits
from app.service.reading import Reading
from app.service.scrub import Scrub
from app.service.statements import StatementStore
from app.service.sweeping import UploadSweep
from app.service.tokens import Sealer
from app.service.uploads import NO_LIMITS, Uploads
from app.service.who import Gate
from app.service.witnesses import Publication
from app.statements.kinds import Genesis
from app.statements.statement import Signer, parse_leaf, parse_statement
from ledger.batch import check_extends
from ledger.errors import Forked, LedgerError
from ledger.merkle import EMPTY_FRONTIER
from ledger.note import NoteSigner
from ledger.policy import Policy
from ledger.publisher import Published
from ledger.sequencer import Sequencer, SequencerState
from ledger.tree import Tree
from storage.errors import StorageError
from storage.ports import BlobStore, RecordStore

if TYPE_CHECKING:
    from app.service.issuing import Issuing

log = logging.getLogger("muniment.registry")
SWEEP_FIRST, SWEEP_EVERY = 3600, 86_400
LOCKS_EVERY = 60
"""What another replica left due is done within so many seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a registry is made from, beside its stores and clock. Seeds are 32 secret bytes."""

    origin: str
    genesis: bytes
    log_seed: bytes
    service_seed: bytes
    provisional_lock_days: int = 7
    uploads: UploadMode = UploadMode.AUTO
    limits: Limits = NO_LIMITS
    """How many bytes each member may have in the store."""
    retention_days: int = 10_950
    checkpoint_seconds: float = 1
    batch_seconds: float = 0.005
    witnesses: Policy | None = None
    """This log, its witnesses and when a publication is complete; None: what is signed is published as it is."""
    publication_seconds: float = 1
    """At each multiple of it on the clock what is new is published, and whoever waits for a receipt gets it."""
    witness_seconds: float = 2
    office: OfficeSettings | None = None
    """Who issues certificates, and with what seal; None: none are issued."""
    scrub_seconds: int = 0
    """How often all stored batches are read again; 0: never."""
    published: Path | None = None
    """Where the newest published checkpoint is kept, outside the stores; None: nowhere (in tests)."""
    anchors: AnchorTerms | None = None
    """Who anchors the ledger; None: nobody."""


class Registry:
    """The service without its HTTP face."""

    def __init__(
        self,
        terms: Terms,
        records: RecordStore,
        blobs: BlobStore,
        clock: Callable[[], int],
        law: Law = decide,
    ) -> None:
        """`law` is an argument so that a dishonest registry can be shown to its end; no setting reaches it."""
        self.terms, self.records, self.blobs, self.clock = terms, records, blobs, clock
        signer = NoteSigner(terms.origin, Ed25519PrivateKey.from_private_bytes(terms.log_seed))
        self.log_key = signer.key
        self._service = Signer(terms.service_seed)
        sealer = Sealer(terms.service_seed, terms.origin)
        log_store = RecordLogStore(records)
        self.tree = Tree(log_store)
        self.history = History(log_store, self.tree)
        self.statements = StatementStore(records)
        self.projections = Projections(
            records,
            self.history,
            self.statements,
            origin=terms.origin,
            genesis=terms.genesis,
            retention_days=terms.retention_days,
            clock=clock,
            law=law,
        )
        assembly = EvidenceAssembly(self.projections, self.history, origin=terms.origin, genesis=terms.genesis)
        self.sequencer: Sequencer[Offer] = Sequencer(
            log_store, assembly, signer, terms.origin, clock, window_seconds=terms.batch_seconds
        )
        self.publication = self._make_publication()
        self._published = None if terms.published is None else PublishedFile(terms.published, self.log_key)
        self.notes = NoteStore(records, self.projections, clock)
        self.uploads = Uploads(
            records,
            blobs,
            self.projections,
            sealer,
            clock,
            provisional_lock_days=terms.provisional_lock_days,
            mode=terms.uploads,
            limits=terms.limits,
        )
        self.gate = Gate(sealer, self.projections, clock)
        self.door = Door(
            origin=terms.origin,
            genesis=terms.genesis,
            clock=clock,
            sequencer=self.sequencer,
            publication=self.publication,
            history=self.history,
            projections=self.projections,
            statements=self.statements,
            notes=self.notes,
            uploads=self.uploads,
        )
        self.reading = Reading(
            projections=self.projections,
            statements=self.statements,
            history=self.history,
            uploads=self.uploads,
            door=self.door,
        )
        self.downloads = Downloads(
            records,
            blobs,
            projections=self.projections,
            history=self.history,
            uploads=self.uploads,
            door=self.door,
            signer=self._service,
            origin=terms.origin,
            clock=clock,
        )
        self.locks = LockJob(records, blobs, self.projections, self.uploads, clock)
        self.upload_sweep = UploadSweep(
            records,
            blobs,
            self.projections,
            self.uploads.quota,
            provisional_lock_days=terms.provisional_lock_days,
        )
        self.anchors = AnchorStore(records)
        self.anchoring = None if terms.anchors is None else self._make_anchoring(terms.anchors)
        self._anchoring: asyncio.Task[None] | None = None
        self.eraser = Eraser(
            records, blobs, self.projections, history=self.history, statements=self.statements, clock=clock
        )
        self.scrub = Scrub(
            records,
            log_store,
            self.statements,
            clock,
            every_seconds=terms.scrub_seconds,
            erasures=ErasureIndex(self.history, self.statements),
        )
        self.issuing = None if terms.office is None else self._make_issuing(terms.office)
        self._scrubbing: asyncio.Task[None] | None = None
        self._upkeep: asyncio.Task[None] | None = None
        self._locks_due = asyncio.Event()
        self._sweep_at, self._locks_at = clock() + SWEEP_FIRST, 0

    async def rebuild(self) -> None:
        """Drop all projections and make them again from ledger and statements. Before `start`, and no other process.

        Raises DamagedProjection where the statements do not give the ledger's entries: then run the audit.
        """
        await self.projections.rebuild(await self.tree.size())

    async def start(self) -> None:
        """Load, verify and begin to accept.

        Raises DamagedLog, DamagedProjection, BadInput, Mismatch (`store_lost_entries`), what the stores raise.
        """
        await self._check_foundation()
        await self.projections.load()
        kept = await self._start_sequencer()
        try:
            await self.projections.catch_up(self.sequencer.size)
            founded = await self.projections.ask(lambda view: view.find(Founded, "it"))
            if founded is None and self.sequencer.size:
                raise DamagedProjection("the registry that the genesis founded is not in the projections", REBUILD)
            await self.publication.start(kept)
            try:
                await self._keep_published()
            except OSError as error:
                raise BadInput(
                    f"the setting 'published' names {self.terms.published}, which cannot be written: {error.strerror}",
                    "Name a file in a folder that the service may write to.",
                    code="bad_setting",
                ) from error
        except BaseException:
            await self.sequencer.close()
            raise
        self._locks_due.set()
        self._upkeep = asyncio.create_task(self._keep_up(), name="upkeep")
        if self.terms.scrub_seconds:
            self._scrubbing = asyncio.create_task(self.scrub.run(), name="scrub")
        if self.anchoring is not None:
            self._anchoring = asyncio.create_task(self.anchoring.run(), name="anchoring")

    async def close(self) -> None:
        """Finish what was submitted, and end; the stores stay open. Safe to call twice."""
        if self._anchoring is not None:
            self._anchoring.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._anchoring
            self._anchoring = None
        if self._scrubbing is not None:
            self._scrubbing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._scrubbing
            self._scrubbing = None
            with contextlib.suppress(StorageError):  # what was not noted is read once more
                await self.scrub.close()
        if self._upkeep is not None:
            self._upkeep.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._upkeep
            self._upkeep = None
            await self._keep_published_or_say()
        await self.publication.close()
        await self.sequencer.close()

    def lock_soon(self) -> None:
        """Have the upkeep do at its next round what is due in the store: a deposit was accepted, or a hold placed."""
        self._locks_due.set()

    async def current(self) -> None:
        """Return when the projections have reached what is signed: who saw a checkpoint can read all below it."""
        await self.projections.catch_up(self.sequencer.size)

    async def look(self) -> None:
        """Take over what other processes appended, if it can be read now: a reader may come from one of them.

        Behind a balancer nobody should be shown an older checkpoint than the one that he has just seen.
        """
        with contextlib.suppress(LedgerError, StorageError):  # what is signed here stays true; the upkeep says why
            await self.sequencer.catch_up()

    async def shown(self) -> Published:
        """Return what is published: never less than another process published before, if that can be had."""
        await self.look()
        with contextlib.suppress(AppError):
            return await self.publication.covering(self.sequencer.others_size)
        return self.publication.published

    async def ready(self) -> None:
        """Return when the service can take statements. Raises Stopped or what a store raises when it cannot."""
        await self.sequencer.wait_for(0)
        await self.records.get("watermark", "it")
        await self.blobs.stat("ready")

    async def maintain(self) -> None:
        """One round of the upkeep. Raises what the stores and the ledger raise; the next round tries again."""
        if self.sequencer.state is SequencerState.STOPPED:
            await self.sequencer.reload()
            log.warning("the sequencer was stopped and is reloaded at size %d", self.sequencer.size)
        await self.projections.catch_up(await self.sequencer.catch_up())
        await self._keep_published_or_say()
        await self.tree.write_tiles(self.sequencer.size)
        await self.eraser.run()
        if self._locks_due.is_set() or self.clock() >= self._locks_at:
            self._locks_at = self.clock() + LOCKS_EVERY
            self._locks_due.clear()
            if (await self.locks.run()).failed:
                self._locks_due.set()
        if self.clock() >= self._sweep_at:
            now = self.clock()
            self._sweep_at = now + SWEEP_EVERY
            # After `now` was read, so that what was accepted by then is seen.
            await self.projections.catch_up(await self.sequencer.catch_up())
            await self.statements.sweep(now, self._is_entry)
            await self.notes.sweep(now)
            await self.upload_sweep.run(now)
            await self.locks.look_again()

    def _make_anchoring(self, terms: AnchorTerms) -> Anchoring:
        return Anchoring(
            terms,
            self.records,
            origin=self.terms.origin,
            log_key=self.log_key,
            signer=self._service,
            door=self.door,
            publication=self.publication,
            history=self.history,
            clock=self.clock,
        )

    def _make_publication(self) -> Publication:
        terms = self.terms
        policy = terms.witnesses or Policy.parse(f"log {self.log_key.text}\nquorum none\n")
        if policy.log != self.log_key:
            raise BadInput(
                f"the policy of the witnesses is for the log key {policy.log.text}, not {self.log_key.text}",
                "Put this log's verifier key into the policy's log line.",
                code="bad_setting",
            )
        return Publication(
            self.sequencer,
            policy,
            self.tree.consistency,
            cadence_seconds=terms.publication_seconds,
            timeout_seconds=terms.witness_seconds,
        )

    def _make_issuing(self, office: OfficeSettings) -> "Issuing":
        from app.service.issuing import Issuing  # noqa: PLC0415 - seals and pages: a registry without an office needs none

        return Issuing(office, self.records, self.projections, self.clock)

    async def _is_entry(self, digest: str) -> bool:
        return await self.projections.placed(bytes.fromhex(digest)) is not None

    async def _keep_up(self) -> None:
        while True:
            try:
                await self.maintain()
            except (AppError, LedgerError, StorageError) as error:
                log.warning("upkeep: %s: %s", error.code, error.message)
            except Exception:
                log.exception("upkeep: a fault; it goes on")
            await asyncio.sleep(self.terms.checkpoint_seconds)

    async def _keep_published(self) -> None:
        if self._published is not None:
            newest = self.publication.published
            await asyncio.to_thread(self._published.keep, newest.text, newest.size)

    async def _keep_published_or_say(self) -> None:
        try:
            await self._keep_published()
        except OSError as error:
            # The service goes on: the file is a second line, and what it held is true as long as it stands.
            log.error("%s cannot be written: %s", self.terms.published, error.strerror)  # noqa: TRY400

    async def _start_sequencer(self) -> str | None:
        kept = None if self._published is None else self._published.read()
        try:
            await self.sequencer.start(published=kept)
        except Forked as error:
            raise Mismatch(
                f"{error.message}: {self.terms.published} holds the checkpoint; the record store was restored from an "
                "older copy, or replaced",
                "Nothing was changed. Put back the newest copy of the records, or a replica's. To go on without those "
                "entries would be a fork, and every client that saw them will say so.",
                code="store_lost_entries",
            ) from error
        return kept

    async def _check_foundation(self) -> None:
        """Raise BadInput where origin, genesis or a key of the settings is not what founded the ledger that stands."""
        first = await self.history.batch_from(0)
        if first is None:
            return
        check_extends(EMPTY_FRONTIER, first)  # a damaged batch is named as such, not as a wrong setting
        terms = self.terms
        found = parse_leaf(first.entries[0].decode()).digest
        if found != terms.genesis:
            raise _wrong("genesis", terms.genesis.hex(), found.hex())
        text = await self.statements.read(found)
        claims = None if text is None else parse_statement(text).claims
        if not isinstance(claims, Genesis):
            raise Mismatch(
                f"the genesis {found.hex()}, which founds this ledger, is not in the store",
                "Run the audit; put back a copy of the records that has it.",
                code="damaged_statement",
            )
        if claims.origin != terms.origin:
            raise _wrong("origin", terms.origin, claims.origin)
        for name, stated, ours in (
            ("log_key", claims.log, self.log_key.public_key),
            ("service_key", claims.service, self._service.public),
        ):
            if stated != ours:
                raise BadInput(
                    f"the setting {name!r} names another key than the genesis {found.hex()}",
                    "Put the registry's own key file back; never found a second registry over its stores.",
                    code="wrong_key",
                )


def _wrong(name: str, ours: str, founded: str) -> BadInput:
    return BadInput(
        f"the setting {name!r} is {ours}, and the ledger in the record store was founded with {founded}",
        "Correct the setting, or name this registry's own store in 'records'.",
        code=f"wrong_{name}",
    )
