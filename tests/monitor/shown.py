"""A log's files as it shows them, in a dict and over HTTP, by the paths of C2SP tlog-tiles; tests may change them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from ledger.merkle import leaf_hash
from ledger.tiles import TILE_WIDTH, encode_bundle, tile_bytes, tiles_of
from tests.ledger.growing import GrowingLog, root_by_recursion

Files = dict[str, bytes]


def files_of(log: GrowingLog, size: int | None = None, *, signed: str | None = None) -> Files:
    """Checkpoint, tiles and bundles of the log's first `size` entries."""
    entries = log.entries if size is None else log.entries[:size]
    leaves = [leaf_hash(entry) for entry in entries]

    def lookup(level: int, index: int) -> bytes:
        return root_by_recursion(leaves[index << level : (index + 1) << level])

    files = {tile.path: tile_bytes(tile, lookup) for tile in tiles_of(len(entries))}
    for tile in tiles_of(len(entries)):
        if tile.level == 0:
            start = tile.index * TILE_WIDTH
            files[tile.path.replace("tile/0/", "tile/entries/")] = encode_bundle(entries[start : start + tile.width])
    files["checkpoint"] = (log.signed(len(entries)) if signed is None else signed).encode()
    return files


class DictSource:
    """A `Source`; `asked` are the paths that were read."""

    def __init__(self, files: Files) -> None:
        self.files, self.asked = files, list[str]()

    async def get(self, path: str, most: int) -> bytes | None:
        self.asked.append(path)
        data = self.files.get(path)
        assert data is None or len(data) <= most
        return data


@asynccontextmanager
async def serving_files(files: Files, prefix: str = "/a/log") -> AsyncIterator[str]:
    """Serve `files` (looked up at each request); yields the URL."""

    async def get(request: web.Request) -> web.Response:
        data = files.get(request.match_info["path"])
        return web.Response(status=404) if data is None else web.Response(body=data)

    application = web.Application()
    application.router.add_get(prefix + "/{path:.*}", get)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{prefix}"
    finally:
        await runner.cleanup()
