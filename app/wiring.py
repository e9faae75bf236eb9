"""The one place where parts meet: store adapters by URL, keys from files, the system's clock."""

import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.config import Settings
from app.errors import BadInput
from app.rules.decide import Law, decide
from app.service.anchor_settings import load_anchor_terms
from app.service.arrivals import UploadMode
from app.service.audit import Audit, Tell
from app.service.deposit_audit import DepositAudit
from app.service.export import Export
from app.service.keyfiles import load_seed
from app.service.logstore import RecordLogStore
from app.service.office import load_office
from app.service.published import PublishedFile
from app.service.quota import Limits
from app.service.registry import Registry, Terms
from app.service.segments import Pace
from app.service.statements import StatementStore
from app.service.store_audit import Progress, StoreAudit, begin
from app.statements.kinds import Genesis
from app.statements.statement import Seen, Signer, Statement, digest_of, parse_statement
from ledger.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from ledger.errors import LedgerError
from ledger.note import MAX_NOTE_BYTES, NoteSigner
from ledger.policy import Policy
from ledger.tree import Tree
from storage.credentials import mongodb_credentials, s3_credentials
from storage.files import FileBlobStore
from storage.hosts import MongoPlace, S3Place
from storage.memory import MemoryBlobStore, MemoryRecordStore
from storage.ports import BlobStore, RecordStore
from storage.sqlite import SqliteRecordStore
from storage.urls import BlobPlace, FilesPlace, RecordPlace, SqlitePlace, parse_blob_place, parse_record_place

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Both stores of a registry."""

    records: RecordStore
    blobs: BlobStore


@asynccontextmanager
async def open_stores(settings: Settings, *, must_exist: bool = False) -> AsyncIterator[Stores]:
    """Open both stores until the block ends. With `must_exist` nothing is made where nothing is (BadInput)."""
    async with AsyncExitStack() as stack:
        records = await _open_records(parse_record_place(settings.records), must_exist=must_exist)
        stack.push_async_callback(records.close)
        blobs = await _open_blobs(parse_blob_place(settings.blobs), must_exist=must_exist)
        stack.push_async_callback(blobs.close)
        yield Stores(records=records, blobs=blobs)


async def _open_records(place: RecordPlace, *, must_exist: bool) -> RecordStore:
    if isinstance(place, MongoPlace):
        from storage.mongodb import MongoRecordStore  # noqa: PLC0415 - a driver that most registries do without

        return await MongoRecordStore.open(place, mongodb_credentials(os.environ), create=not must_exist)
    if isinstance(place, SqlitePlace):
        if must_exist and not Path(place.path).exists():
            raise BadInput(f"there is no {place.path}", "Name the registry's folder.", code="no_store")
        return await SqliteRecordStore.open(place.path)
    return MemoryRecordStore()


async def _open_blobs(place: BlobPlace, *, must_exist: bool) -> BlobStore:
    if isinstance(place, S3Place):
        from storage.s3 import S3BlobStore  # noqa: PLC0415 - likewise

        return await S3BlobStore.open(place, s3_credentials(os.environ), create=not must_exist, clock=now)
    if isinstance(place, FilesPlace):
        if must_exist and not Path(place.path).exists():
            raise BadInput(f"there is no {place.path}", "Name the registry's folder.", code="no_store")
        return await FileBlobStore.open(place.path, clock=now)
    return MemoryBlobStore(clock=now)


@asynccontextmanager
async def build(settings: Settings, law: Law = decide) -> AsyncIterator[Registry]:
    """Build a registry on its stores until the block ends; its HTTP application starts and closes it.

    `law` is an argument for the demonstration of a dishonest registry alone; no setting reaches it.
    """
    terms = Terms(
        origin=settings.origin,
        genesis=settings.genesis,
        log_seed=load_seed(settings.log_key),
        service_seed=load_seed(settings.service_key),
        provisional_lock_days=settings.provisional_lock_days,
        uploads=UploadMode(settings.uploads),
        limits=Limits(
            all=settings.quota_mib * MIB or None, members={member: mib * MIB for member, mib in settings.quotas}
        ),
        retention_days=settings.retention_days,
        checkpoint_seconds=settings.checkpoint_seconds,
        batch_seconds=settings.batch_milliseconds / 1000,
        witnesses=_witnesses(settings),
        publication_seconds=settings.publication_milliseconds / 1000,
        witness_seconds=settings.witness_milliseconds / 1000,
        published=settings.published,
        scrub_seconds=settings.scrub_hours * 3600,
        anchors=None if settings.anchors is None else load_anchor_terms(settings.anchors),
        office=None if settings.office is None else load_office(settings.office),
    )
    async with open_stores(settings) as stores:
        yield Registry(terms, stores.records, stores.blobs, now, law)


@asynccontextmanager
async def build_audit(
    settings: Settings,
    receipts: Iterable[tuple[str, bytes]] = (),
    tell: Tell = lambda _what, _done, _all: None,
) -> AsyncIterator[Audit]:
    """Build an audit over the stores until the block ends; it changes nothing and needs no key."""
    # Read first: what was published before the ledger is looked at must be in it.
    published = None
    if settings.published.exists():
        with settings.published.open("rb") as file:
            published = file.read(MAX_NOTE_BYTES).decode("utf-8", "replace")
    async with open_stores(settings, must_exist=True) as stores:
        audit = Audit(
            stores.records,
            stores.blobs,
            origin=settings.origin,
            genesis=settings.genesis,
            published=published,
            receipts=receipts,
            tell=tell,
            clock=now,
        )
        try:
            yield audit
        finally:
            audit.close()


@asynccontextmanager
async def build_store_audit(
    settings: Settings,
    progress: Progress | None,
    *,
    pace: Pace,
    save: Callable[[Progress], None],
    tell: Tell = lambda _what, _done, _all: None,
) -> AsyncIterator[tuple[StoreAudit, str, Signer]]:
    """Build an audit of the stores until the block ends; beside it the genesis statement and the service key.

    Without `progress` it begins at the checkpoint that was published last. Raises BadInput (`other_registry`,
    `wrong_key`).
    """
    service = Signer(load_seed(settings.service_key))
    log = NoteSigner(settings.origin, Ed25519PrivateKey.from_private_bytes(load_seed(settings.log_key)))
    async with open_stores(settings, must_exist=True) as stores, _auditing(settings, stores) as audit:
        genesis = await StatementStore(stores.records).read(settings.genesis)
        claims = None if genesis is None else parse_statement(genesis).claims
        if genesis is None or digest_of(genesis) != settings.genesis or not isinstance(claims, Genesis):
            raise BadInput(
                f"the genesis {settings.genesis.hex()} is not in the record store",
                "Name the registry's own stores, or run `muniment audit` to see what is missing.",
                code="no_genesis",
            )
        if claims.service != service.public:
            raise BadInput(
                f"the setting 'service_key' names another key than the genesis {settings.genesis.hex()}",
                "Put the registry's own key file back.",
                code="wrong_key",
            )
        if progress is None:
            text, size, root = await _newest(settings, audit.tree, log)
            ledger = Seen(size=size, root=root)
            begun = begin(genesis=settings.genesis, checkpoint=text, ledger=ledger, now=now())
        elif progress.genesis != settings.genesis:
            raise BadInput(
                f"the audit that was interrupted is of the registry {progress.genesis.hex()}",
                "Remove its file, or name another with --state.",
                code="other_registry",
            )
        else:
            begun = replace(progress, interruptions=progress.interruptions + 1)
        look = DepositAudit(stores.records, stores.blobs, audit.tree, now, pace)
        yield StoreAudit(audit, look, begun, save=save, tell=tell), genesis, service


@asynccontextmanager
async def _auditing(settings: Settings, stores: Stores) -> AsyncIterator[Audit]:
    audit = Audit(stores.records, stores.blobs, origin=settings.origin, genesis=settings.genesis)
    try:
        yield audit
    finally:
        audit.close()


async def _newest(settings: Settings, tree: Tree, signer: NoteSigner) -> tuple[str, int, bytes]:
    """The checkpoint published last, with its size and root; where none was kept, that of all that is stored."""
    kept = PublishedFile(settings.published, signer.key).read()
    if kept is not None:
        checkpoint = verify_checkpoint(kept, [signer.key])
        return kept, checkpoint.size, checkpoint.root
    size = await tree.size()
    checkpoint = Checkpoint(origin=settings.origin, size=size, root=await tree.root_at(size))
    return sign_checkpoint(checkpoint, signer), size, checkpoint.root


@asynccontextmanager
async def build_export(settings: Settings, out: Path) -> AsyncIterator[tuple[Export, str]]:
    """Build an export until the block ends; beside it the checkpoint to export.

    That is the one published last, with its cosignatures; where none was kept, that of all that is stored.
    """
    signer = NoteSigner(settings.origin, Ed25519PrivateKey.from_private_bytes(load_seed(settings.log_key)))
    async with open_stores(settings, must_exist=True) as stores:
        tree = Tree(RecordLogStore(stores.records))
        newest, _, _ = await _newest(settings, tree, signer)
        yield Export(tree, StatementStore(stores.records), signer.key, out), newest


@asynccontextmanager
async def build_false_blames(settings: Settings) -> AsyncIterator[AsyncIterator[Statement]]:
    """The false blames that a registry keeps, until the block ends."""
    async with open_stores(settings, must_exist=True) as stores:
        yield StatementStore(stores.records).false_blames()


def _witnesses(settings: Settings) -> Policy | None:
    if settings.witnesses is None:
        return None
    try:
        return Policy.parse(settings.witnesses.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, LedgerError) as error:
        raise BadInput(
            f"the setting 'witnesses' names {settings.witnesses}, which is no C2SP policy: {error}",
            "Write this log, its witnesses with their URLs, and a quorum there; or leave the setting out.",
            code="bad_setting",
        ) from error


def now() -> int:
    """Unix seconds."""
    return int(time.time())
