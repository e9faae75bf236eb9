"""A verifier's own bundle of Bitcoin headers: followed from the checkpoint of a trust file, checked, kept by him.

One file a checkpoint, `headers/HASH.bin`: 80 bytes a header from the checkpoint's own on. What stands there is checked
whenever it is used; what comes from outside is checked before it is kept, and replaces what was there only when it
shows more work. A source is a file of headers, or a node's REST interface (`/rest/headers/COUNT/HASH.bin`, up to 2,000
each).
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from app.client.files import read_file, write_file
from app.client.home import Home
from app.errors import BadInput, Mismatch, Unreachable
from app.statements.trust import Trust
from ledger.anchors.headers import HEADER_BYTES, Chain, Checkpoint, check_chain, parse_header, split_headers, target
from ledger.errors import LedgerError

MAX_BUNDLE_BYTES = HEADER_BYTES * 2_000_000
ASKED = 2000
OVERLAP = 144
"""Headers that are asked for again, so that a reorganisation of a day is seen."""

Ask = Callable[[bytes, int], Awaitable[bytes | None]]
"""(hash in wire order, count) → up to so many headers from that one on; None when the source does not know it."""


def checkpoint_of(trust: Trust) -> Checkpoint:
    """The header checkpoint of a trust file. Raises BadInput (no_headers)."""
    if trust.headers is None:
        raise BadInput(
            "the trust file names no header checkpoint, so there is no chain to follow",
            "Ask the court for a trust file with `headers`.",
            code="no_headers",
        )
    return trust.headers.checkpoint


def bundle_path(home: Home, checkpoint: Checkpoint) -> Path:
    """Where the bundle for a checkpoint is kept."""
    return home.path / "headers" / f"{checkpoint.hash[::-1].hex()}.bin"


def load_bundle(path: Path, trust: Trust) -> Chain:
    """Read and check a bundle. Raises BadInput (missing, bad_headers): it is the verifier's own, and no evidence."""
    data, checkpoint = read_file(path, "the header bundle", most=MAX_BUNDLE_BYTES), checkpoint_of(trust)
    try:
        chain = _checked(data, checkpoint, str(path))
        check_agrees(chain, trust, str(path))
    except Mismatch as error:
        raise BadInput(
            f"your bundle of headers cannot be used: {error.message}",
            f"Remove {path}, and make it again: muniment headers update.",
            code="bad_headers",
        ) from error
    return chain


def find_bundle(home: Home, trust: Trust) -> Chain | None:
    """The bundle of this person for a trust file, if there is one. Raises BadInput as `load_bundle` does."""
    if trust.headers is None:
        return None
    path = bundle_path(home, trust.headers.checkpoint)
    return load_bundle(path, trust) if path.exists() else None


def check_agrees(chain: Chain, trust: Trust, what: str) -> None:
    """Compare a chain with the headers that the trust file itself carries. Raises Mismatch (bad_headers)."""
    ours = trust.headers.chain if trust.headers is not None else None
    if ours is None or not ours.headers or not chain.headers:
        return
    both = min(len(ours.headers), len(chain.headers))
    if ours.headers[:both] != chain.headers[:both]:
        raise Mismatch(
            f"{what} has other headers than the trust file carries",
            "Take headers from another source.",
            code="bad_headers",
        )


async def follow(kept: Chain, checkpoint: Checkpoint, ask: Ask, source: str) -> Chain:
    """Go on with a chain from a source; return what shows more work. Raises Mismatch (bad_headers), Unreachable."""
    height = max(checkpoint.height, kept.tip - OVERLAP)
    base = kept.headers[: (height - checkpoint.height) * HEADER_BYTES]
    start = kept.at(height)
    more = await ask(parse_header(start).hash if start is not None else checkpoint.hash, ASKED)
    if more is None and base:
        base, more = b"", await ask(checkpoint.hash, ASKED)
    if more is None:
        raise Unreachable(
            f"{source} does not know the header checkpoint", "It follows another chain; take another source."
        )
    data = base + more
    while len(more) == ASKED * HEADER_BYTES:
        last = parse_header(data[-HEADER_BYTES:])
        more = await ask(last.hash, ASKED) or b""
        if more[:HEADER_BYTES] != last.raw:
            break
        data += more[HEADER_BYTES:]
        if len(data) > MAX_BUNDLE_BYTES:
            raise Mismatch(f"{source} sends headers without end", "Take another source.", code="bad_headers")
    chain = _checked(data, checkpoint, source)
    return chain if work_of(chain) > work_of(kept) else kept


def follow_file(kept: Chain, checkpoint: Checkpoint, data: bytes, source: str) -> Chain:
    """Take headers from a file that begins with the checkpoint's own. Raises Mismatch (bad_headers)."""
    chain = _checked(data, checkpoint, source)
    return chain if work_of(chain) > work_of(kept) else kept


def work_of(chain: Chain) -> int:
    """The expected number of hashes that a chain took."""
    targets: dict[int, int] = {}
    for header in split_headers(chain.headers):
        targets[header.bits] = targets.get(header.bits, 0) + 1
    return sum(count * ((1 << 256) // (target(bits) + 1)) for bits, count in targets.items())


def keep_bundle(path: Path, chain: Chain) -> None:
    """Replace the bundle, durably and at once."""
    write_file(path, chain.headers, mode=0o644)


def _checked(data: bytes, checkpoint: Checkpoint, source: str) -> Chain:
    try:
        return check_chain(data, checkpoint)
    except LedgerError as error:
        raise Mismatch(
            f"{source}: {error.message} [{error.code}]", "Take headers from another source.", code="bad_headers"
        ) from error
