"""One registry, whole: its parts wired by argument, its start, its periodic work, its end.

Start: the projections' watermark, then the ledger's newest state, verified from stored bytes (a last batch that does
not re-derive stops here), then the projections catch up, then the keys are compared with the genesis. The upkeep looks
for what other processes appended, reloads a stopped sequencer, locks what is due and sweeps orphans.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import AppError, BadInput
from app.rules.aggregates import Registry as Founded
from app.rules.decide import Law, decide
from app.service.accept import Door
from app.service.assembly import EvidenceAssembly, Offer
from app.service.downloads import Downloads
from app.service.history import History
from app.service.locks import LockJob
from app.service.logstore import RecordLogStore
from app.service.notes import NoteStore
from app.service.projections import Projections
from app.service.reading import Reading
from app.service.statements import StatementStore
from app.service.tokens import Sealer
from app.service.uploads import Uploads
from app.service.who import Gate
from app.service.witnesses import AtOnce, Publication, Witnessed
from app.statements.statement import Signer
from ledger.errors import LedgerError
from ledger.note import NoteSigner
from ledger.policy import Policy
from ledger.sequencer import Sequencer, SequencerState
from ledger.tree import Tree
from storage.errors import StorageError
from storage.ports import BlobStore, RecordStore

log = logging.getLogger("muniment.registry")
SWEEP_FIRST, SWEEP_EVERY = 3600, 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a registry is made from, beside its stores and clock. Seeds are 32 secret bytes."""

    origin: str
    genesis: bytes
    log_seed: bytes
    service_seed: bytes
    provisional_lock_days: int = 7
    retention_days: int = 10_950
    checkpoint_seconds: float = 1
    batch_seconds: float = 0.005
    witnesses: Policy | None = None
    """This log, its witnesses and when a publication is complete; None: what is signed is published at once."""
    publication_seconds: float = 1
    witness_seconds: float = 2


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
            law=law,
        )
        assembly = EvidenceAssembly(self.projections, self.history, origin=terms.origin, genesis=terms.genesis)
        self.sequencer: Sequencer[Offer] = Sequencer(
            log_store, assembly, signer, terms.origin, clock, window_seconds=terms.batch_seconds
        )
        self.publication = self._make_publication()
        self.notes = NoteStore(records, self.projections)
        self.uploads = Uploads(
            records, blobs, self.projections, sealer, clock, provisional_lock_days=terms.provisional_lock_days
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
        self.locks = LockJob(records, blobs, self.projections, self.uploads)
        self._upkeep: asyncio.Task[None] | None = None
        self._locks_due = asyncio.Event()
        self._sweep_at = clock() + SWEEP_FIRST

    async def rebuild(self) -> None:
        """Drop all projections and make them again from ledger and statements. Before `start`, and no other process.

        Raises DamagedProjection where the statements do not give the ledger's entries: then run the audit.
        """
        await self.projections.rebuild(await self.tree.size())

    async def start(self) -> None:
        """Load, verify and begin to accept. Raises DamagedLog, DamagedProjection, BadInput, what the stores raise."""
        await self.projections.load()
        await self.sequencer.start()
        try:
            await self.projections.catch_up(self.sequencer.size)
            await self._check_keys()
            await self.publication.start()
        except BaseException:
            await self.sequencer.close()
            raise
        self._locks_due.set()
        self._upkeep = asyncio.create_task(self._keep_up(), name="upkeep")

    async def close(self) -> None:
        """Finish what was submitted, and end; the stores stay open. Safe to call twice."""
        if self._upkeep is not None:
            self._upkeep.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._upkeep
            self._upkeep = None
        await self.publication.close()
        await self.sequencer.close()

    def lock_soon(self) -> None:
        """Have the upkeep lock what is due at its next round: a deposit was accepted."""
        self._locks_due.set()

    async def current(self) -> None:
        """Return when the projections have reached what is signed: who saw a checkpoint can read all below it."""
        await self.projections.catch_up(self.sequencer.size)

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
        await self.tree.write_tiles(self.sequencer.size)
        if self._locks_due.is_set():
            self._locks_due.clear()
            if (await self.locks.run()).failed:
                self._locks_due.set()
        if self.clock() >= self._sweep_at:
            self._sweep_at = self.clock() + SWEEP_EVERY
            await self.statements.sweep(self.clock(), self._is_entry)

    def _make_publication(self) -> Publication:
        terms = self.terms
        if terms.witnesses is None:
            return AtOnce(self.sequencer)
        if terms.witnesses.log != self.log_key:
            raise BadInput(
                f"the policy of the witnesses is for the log key {terms.witnesses.log.text}, not {self.log_key.text}",
                "Put this log's verifier key into the policy's log line.",
                code="bad_setting",
            )
        return Witnessed(
            self.sequencer,
            terms.witnesses,
            self.tree.consistency,
            cadence_seconds=terms.publication_seconds,
            timeout_seconds=terms.witness_seconds,
        )

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

    async def _check_keys(self) -> None:
        founded = await self.projections.ask(lambda view: view.find(Founded, "it"))
        if founded is None:
            return
        pairs = (
            ("log_key", founded.log, self.log_key.public_key),
            ("service_key", founded.service, self._service.public),
        )
        for name, stated, ours in pairs:
            if stated != ours:
                raise BadInput(
                    f"the setting {name!r} names another key than the genesis {founded.genesis.hex()}",
                    "Put the registry's own key file back; never found a second registry over its stores.",
                    code="wrong_key",
                )
