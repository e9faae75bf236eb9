"""A real registry in this process, over memory stores and a real socket, that holds what a `World` holds.

The world's statements are posted one by one; the registry's clock is the world's, so every leaf and root is the same.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestServer

from app.client.api import Api
from app.client.home import Home
from app.client.session import Client
from app.service.office import OfficeSettings
from app.service.quota import Limits
from app.service.registry import Registry, Terms
from app.service.uploads import NO_LIMITS
from app.statements.trust import Trust
from app.web.application import make_application
from storage.memory import MemoryBlobStore, MemoryRecordStore
from storage.ports import BlobStore, RecordStore
from tests.app.client.world_service import keys_of, trust_of
from tests.app.rules.world import ORIGIN, World, seed


async def at_once(_seconds: float) -> None:
    return


@dataclass
class Court:
    """A running registry and the world that it was fed."""

    world: World
    trust: Trust
    url: str
    folder: Path
    records: RecordStore
    blobs: BlobStore
    registry: Registry

    @asynccontextmanager
    async def client(self, name: str, **changes: Any) -> AsyncIterator[Client]:
        """A person's client, with a folder of his own that stays; `url`: at another address than the court's own."""
        home, clock = Home(self.folder / name), lambda: self.world.now
        async with Client(
            home,
            keys_of(name),
            changes.pop("trust", self.trust),
            changes.pop("url", self.url),
            clock=clock,
            pause=at_once,
            **changes,
        ) as client:
            yield client


def terms_of(world: World) -> Terms:
    """What every replica of the world's registry is told."""
    assert world.genesis is not None
    return Terms(
        origin=ORIGIN,
        genesis=world.genesis.digest,
        log_seed=seed("log"),
        service_seed=seed("service"),
        checkpoint_seconds=0.02,
        publication_seconds=0.005,
        batch_seconds=0,
    )


@asynccontextmanager
async def court(
    world: World,
    folder: Path,
    limits: Limits = NO_LIMITS,
    office: OfficeSettings | None = None,
    *,
    records: RecordStore | None = None,
    blobs: BlobStore | None = None,
    terms: Terms | None = None,
) -> AsyncIterator[Court]:
    """Start the registry, over memory if nothing else is given, and post what the world holds."""
    records = records if records is not None else MemoryRecordStore()
    blobs = blobs if blobs is not None else MemoryBlobStore(clock=lambda: world.now)
    terms = replace(terms or terms_of(world), limits=limits, office=office)
    registry = Registry(terms, records, blobs, lambda: world.now)
    async with TestServer(make_application(registry)) as server:
        url = str(server.make_url("/"))
        async with Api(url, origin=ORIGIN, signer=None, clock=lambda: world.now, pause=at_once) as api:
            for entry in world.entries:
                posted = await api.post_statement(entry.statement)
                assert (posted.index, posted.leaf) == (entry.index, entry.leaf)
        yield Court(
            world=world, trust=trust_of(world), url=url, folder=folder, records=records, blobs=blobs, registry=registry
        )
