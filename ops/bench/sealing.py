"""Sealing 1 GiB (SHA-256 of the plaintext, encryption, SHA-256 of each segment) against the practical limit.

The limit: two processes that know nothing of each other and each do all of that for half of the file, on one thread.
They cannot give one digest of the whole, so no sealer can use them; they show what two cores can do. Both sides work in
fresh processes that are started, ready and waiting before the clock runs; rounds of one and the other take turns.
"""

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from app.sealing.keys import ItemKeys
from app.sealing.pipeline import ItemSealer
from app.sealing.segments import SEGMENT_BYTES
from app.sealing.sources import Source
from app.sealing.stream import CHUNK_BYTES, SEALED_CHUNK_BYTES, chunk_nonce
from app.sealing.unseal import Unsealer
from app.sealing.x25519 import Identity
from ops.bench import Row

TITLE = "one file of 1 GiB, both digests, from the page cache"
SIZE = 1024 * 1024 * 1024
OPEN_SIZE = 256 * 1024 * 1024
ROUNDS = int(os.environ.get("MUNIMENT_BENCH_ROUNDS", "7"))
_BLOCK = 16 * CHUNK_BYTES


def run() -> tuple[Row, ...]:
    """Measure `MUNIMENT_BENCH_ROUNDS` rounds (7) of each shape."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source"
        block = os.urandom(64 * 1024 * 1024)
        with path.open("wb") as file:
            for _ in range(SIZE // len(block)):
                file.write(block)
        seal, limit, single, opening = [], [], [], []
        for _ in range(ROUNDS):
            seal.append(_timed([["seal", str(path)]]))
            limit.append(_timed([["part", str(path), "0", "2"], ["part", str(path), "1", "2"]]))
        for _ in range(3):
            single.append(_timed([["part", str(path), "0", "1"]]))
            opening.append(_timed([["open", str(path)]]) * (SIZE / OPEN_SIZE))
    return (
        Row(what="sealer, best", figure=_rate(min(seal)), ratio=f"{min(limit) / min(seal):.2f}", against="limit, best"),
        Row(
            what="sealer, median",
            figure=_rate(statistics.median(seal)),
            ratio=f"{statistics.median(limit) / statistics.median(seal):.2f}",
            against="limit, median",
        ),
        Row(what="limit (two processes), best", figure=_rate(min(limit))),
        Row(what="limit (two processes), median", figure=_rate(statistics.median(limit))),
        Row(
            what="one thread, best of 3",
            figure=_rate(min(single)),
            ratio=f"{min(single) / min(seal):.2f}",
            against="sealer, best, is faster by",
        ),
        Row(
            what="opening in memory, best of 3",
            figure=_rate(min(opening)),
            ratio=f"{min(single) / min(opening):.2f}",
            against="one thread sealing, best",
        ),
    )


def _rate(seconds: float) -> str:
    return f"{SIZE / seconds / 1e6:.0f} MB/s"


def _timed(commands: list[list[str]]) -> float:
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "ops.bench.sealing", *each], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for each in commands
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    start = time.perf_counter()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "done\n"
    taken = time.perf_counter() - start
    for worker in workers:
        worker.communicate()
    return taken


def _seal(path: Path) -> None:
    me = Identity.generate(os.urandom)
    with Source(path) as source:
        for segment in ItemSealer(source, keys=ItemKeys.generate(os.urandom), recipient=me.recipient).segments():
            segment.release()


def _opener(path: Path) -> Callable[[], None]:
    me = Identity.generate(os.urandom)
    with path.open("rb") as file, Source(file.read(OPEN_SIZE)) as source:
        sealer = ItemSealer(source, keys=ItemKeys.generate(os.urandom), recipient=me.recipient)
        parts = [bytes(segment.data) for segment in sealer.segments()]
    sealed = sealer.result

    def opening() -> None:
        unsealer = Unsealer(length=sealed.length, segments=sealed.segments, identity=me, write=len)
        for part in parts:
            unsealer.add(part)
        assert unsealer.finish().sha256 == sealed.sha256

    return opening


def _part(path: Path, part: int, parts: int) -> None:
    cipher = ChaCha20Poly1305(os.urandom(32))
    plain, sealed = hashlib.sha256(), hashlib.sha256()
    source = memoryview(bytearray(_BLOCK))
    target = memoryview(bytearray(_BLOCK // CHUNK_BYTES * SEALED_CHUNK_BYTES))
    in_segment = 0
    with path.open("rb", buffering=0) as file:
        file.seek(SIZE // parts * part)
        for number in range(SIZE // parts // _BLOCK):
            assert file.readinto(source) == _BLOCK
            plain.update(source)
            for i in range(_BLOCK // CHUNK_BYTES):
                cipher.encrypt_into(
                    chunk_nonce(number * 16 + i, False),
                    source[i * CHUNK_BYTES : (i + 1) * CHUNK_BYTES],
                    None,
                    target[i * SEALED_CHUNK_BYTES : (i + 1) * SEALED_CHUNK_BYTES],
                )
            sealed.update(target)
            in_segment += len(target)
            if in_segment == SEGMENT_BYTES:
                sealed.digest()
                sealed = hashlib.sha256()
                in_segment = 0
    plain.digest()


if __name__ == "__main__":
    role, where, *numbers = sys.argv[1:]
    opening = _opener(Path(where)) if role == "open" else None
    print("ready", flush=True)
    sys.stdin.readline()
    if opening is not None:
        opening()
    elif role == "seal":
        _seal(Path(where))
    else:
        _part(Path(where), int(numbers[0]), int(numbers[1]))
    print("done", flush=True)
