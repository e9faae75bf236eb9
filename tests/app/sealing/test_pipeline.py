"""Sealing evidence: the same bytes as a plain age writer, resumed exactly, refused when the source changed."""

import hashlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import BadInput
from app.sealing.age import decrypt_bytes
from app.sealing.keys import ItemKeys
from app.sealing.pipeline import BLOCK_BYTES, ItemSealer, Sealed
from app.sealing.segments import SEGMENT_BYTES, SEGMENT_PLAIN_BYTES, segment_sizes
from app.sealing.sources import Source, SourceChanged
from app.sealing.stream import CHUNK_BYTES, encrypt_chunks
from app.sealing.unseal import unseal_to_file
from app.sealing.x25519 import Identity

MIB = 1024 * 1024
ME = Identity.generate(random.Random(1).randbytes)
KEYS = ItemKeys.generate(random.Random(2).randbytes)
EDGES = [0, 1, 65535, 65536, 65537, BLOCK_BYTES, BLOCK_BYTES + 1, 5 * CHUNK_BYTES + 3]
SEGMENT_EDGES = [SEGMENT_PLAIN_BYTES - 1, SEGMENT_PLAIN_BYTES, SEGMENT_PLAIN_BYTES + 1, 3 * SEGMENT_PLAIN_BYTES + 9]


def seal(what: bytes | Path, **more: object) -> tuple[list[bytes], Sealed]:
    with Source(what) as source:
        sealer = ItemSealer(source, keys=KEYS, recipient=ME.recipient, **more)  # type: ignore[arg-type]
        found = []
        for segment in sealer.segments():
            found.append(bytes(segment.data))
            assert hashlib.sha256(segment.data).digest() == segment.sha256
            segment.release()
        return found, sealer.result


def plain(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def reference(data: bytes) -> bytes:
    return KEYS.prelude(ME.recipient) + encrypt_chunks(KEYS.cipher(), data)


@pytest.mark.parametrize("size", EDGES + SEGMENT_EDGES)
def test_the_bytes_are_those_of_a_plain_writer(size: int) -> None:
    data = plain(size)
    segments, result = seal(data)
    assert b"".join(segments) == reference(data)
    assert result == Sealed(
        size=size,
        sha256=hashlib.sha256(data).digest(),
        length=sum(map(len, segments)),
        segments=tuple(hashlib.sha256(each).digest() for each in segments),
    )
    assert [len(each) for each in segments[1:-1]] == [SEGMENT_BYTES] * (len(segments) - 2)


@settings(max_examples=30)
@given(st.integers(0, 40 * CHUNK_BYTES))
def test_any_size_opens_again(size: int) -> None:
    data = plain(size)
    assert decrypt_bytes(b"".join(seal(data)[0]), [ME]) == data


def test_keys_survive_packing_and_do_not_show() -> None:
    assert ItemKeys.unpack(KEYS.pack()) == KEYS
    assert len(KEYS.pack()) == 64
    assert repr(KEYS) == "ItemKeys()"
    with pytest.raises(BadInput):
        ItemKeys.unpack(b"short")


def test_segments_that_are_kept_are_not_overwritten() -> None:
    data = plain(4 * SEGMENT_PLAIN_BYTES)
    with Source(data) as source:
        kept = list(ItemSealer(source, keys=KEYS, recipient=ME.recipient).segments())
    assert b"".join(bytes(each.data) for each in kept) == reference(data)


def test_a_released_segment_cannot_be_read() -> None:
    with Source(b"x") as source:
        for segment in ItemSealer(source, keys=KEYS, recipient=ME.recipient).segments():
            segment.release()
            with pytest.raises(ValueError, match="released"):
                bytes(segment.data)


def test_progress_rises_to_the_size_and_an_empty_file_reports_once() -> None:
    seen: list[int] = []
    seal(plain(3 * MIB + 5), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 3 * MIB + 5
    seen.clear()
    seal(b"", progress=seen.append)
    assert seen == [0]


def test_stopping_half_way_ends_the_thread() -> None:
    before = threading.active_count()
    with Source(bytes(3 * SEGMENT_PLAIN_BYTES)) as source:
        sealer = ItemSealer(source, keys=KEYS, recipient=ME.recipient)
        segments = sealer.segments()
        next(segments)
        segments.close()  # type: ignore[attr-defined]
        assert threading.active_count() == before
        with pytest.raises(BadInput):
            _ = sealer.result


# Resuming.

LONG = plain(3 * SEGMENT_PLAIN_BYTES + 70_000)


@pytest.fixture(scope="module")
def first_run() -> tuple[list[bytes], Sealed]:
    return seal(LONG)


@pytest.mark.parametrize("known", [0, 1, 3, 4])
def test_resuming_gives_the_same_bytes(known: int, first_run: tuple[list[bytes], Sealed]) -> None:
    segments, result = first_run
    assert seal(LONG, recorded=result.segments[:known]) == (segments, result)
    skip = set(range(known)) - {1}
    rest = [each for i, each in enumerate(segments) if i not in skip]
    assert seal(LONG, recorded=result.segments[:known], skip=skip) == (rest, result)


@pytest.mark.parametrize("at", [0, SEGMENT_PLAIN_BYTES - 1, SEGMENT_PLAIN_BYTES, 2 * SEGMENT_PLAIN_BYTES + 5])
def test_a_changed_source_is_refused_before_any_other_byte_leaves(
    at: int, first_run: tuple[list[bytes], Sealed]
) -> None:
    recorded = first_run[1].segments[:3]
    changed = bytearray(LONG)
    changed[at] ^= 1
    given: list[bytes] = []
    with Source(bytes(changed)) as source:
        segments = ItemSealer(source, keys=KEYS, recipient=ME.recipient, recorded=recorded).segments()

        def take() -> None:
            given.extend(bytes(each.data) for each in segments)

        with pytest.raises(SourceChanged):
            take()
    # Nothing that was given differs from what the first run gave, and no segment beyond those recorded was given.
    assert given == first_run[0][: at // SEGMENT_PLAIN_BYTES]
    assert len(given) < 3


def test_resume_state_of_another_file_is_refused(first_run: tuple[list[bytes], Sealed]) -> None:
    for recorded, skip in ((first_run[1].segments, ()), ((), (0,)), (first_run[1].segments[:1], (1,))):
        with Source(b"short") as source, pytest.raises(BadInput):
            ItemSealer(source, keys=KEYS, recipient=ME.recipient, recorded=recorded, skip=skip)


# Sources that move.


def test_the_recorded_stat_must_still_hold(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    path.write_bytes(b"first")
    with Source(path) as source:
        seen = source.stat
    with Source(path, expected=seen) as source:
        assert source.stat == seen
    os.utime(path, ns=(0, seen.modified_ns + 1))
    with pytest.raises(SourceChanged):
        Source(path, expected=seen)
    path.write_bytes(b"longer than before")
    with pytest.raises(SourceChanged):
        Source(path, expected=seen)


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def shorter(path: Path) -> None:
    os.truncate(path, 2 * SEGMENT_PLAIN_BYTES)


def touched(path: Path) -> None:
    os.utime(path, ns=(0, 1))


def saved_anew(path: Path) -> None:
    """As editors do: another file with the same name, size and time of change. The open one never shows it."""
    other, seen = path.with_name("other"), path.stat()
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    other.replace(path)


def removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [longer, shorter, touched, saved_anew, removed])
def test_a_file_that_moves_while_it_is_sealed(change: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    path.touch()
    os.truncate(path, 3 * SEGMENT_PLAIN_BYTES)
    with Source(path) as source:
        sealer = ItemSealer(source, keys=KEYS, recipient=ME.recipient)
        segments = sealer.segments()
        next(segments).release()
        change(path)
        with pytest.raises(SourceChanged):
            list(segments)
        with pytest.raises(BadInput):
            _ = sealer.result


@pytest.mark.parametrize("change", [longer, touched, saved_anew, removed])
def test_a_small_file_that_moves_is_refused_before_it_leaves(change: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    path.write_bytes(b"small")
    with Source(path) as source:
        sealer = ItemSealer(source, keys=KEYS, recipient=ME.recipient)
        change(path)
        with pytest.raises(SourceChanged):
            list(sealer.segments())
        with pytest.raises(BadInput):
            _ = sealer.result


def test_only_regular_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "absent", Path("/dev/zero")):
        with pytest.raises(BadInput):
            Source(path)


# The stock tool, and memory.


@pytest.mark.foreign("age")
@pytest.mark.parametrize("size", EDGES)
def test_stock_age_opens_it(size: int, tmp_path: Path) -> None:
    data = plain(size)
    identity = tmp_path / "identity"
    identity.write_text(ME.format())
    done = subprocess.run(
        ["age", "-d", "-i", str(identity)], input=b"".join(seal(data)[0]), capture_output=True, check=True
    )
    assert done.stdout == data


@pytest.mark.foreign("age")
@pytest.mark.slow
def test_stock_age_opens_300_mib(tmp_path: Path) -> None:
    source, sealed, identity, out = (tmp_path / name for name in ("source", "sealed", "identity", "out"))
    block = plain(MIB)
    with source.open("wb") as file:
        for i in range(300):
            file.write(i.to_bytes(4, "big") + block[4:])
    identity.write_text(ME.format())
    with Source(source) as opened, sealed.open("wb") as file:
        sealer = ItemSealer(opened, keys=ItemKeys.generate(os.urandom), recipient=ME.recipient)
        for segment in sealer.segments():
            file.write(segment.data)
            segment.release()
    subprocess.run(["age", "-d", "-i", identity, "-o", out, sealed], check=True)
    with out.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == sealer.result.sha256
    assert out.stat().st_size == sealer.result.size == 300 * MIB

    # And back: what stock age wrote, cut into our segments.
    subprocess.run(["age", "-r", ME.recipient.format(), "-o", tmp_path / "theirs", source], check=True)
    length = (tmp_path / "theirs").stat().st_size

    def parts() -> Iterator[bytes]:
        with (tmp_path / "theirs").open("rb") as file:
            yield from (file.read(size) for size in segment_sizes(length))

    hashes = [hashlib.sha256(part).digest() for part in parts()]
    unsealed = unseal_to_file(tmp_path / "opened", parts(), length=length, segments=hashes, identity=ME)
    assert (unsealed.size, unsealed.sha256) == (300 * MIB, sealer.result.sha256)


MEASURE = """
import os, sys
from pathlib import Path
from app.sealing.keys import ItemKeys
from app.sealing.pipeline import ItemSealer
from app.sealing.sources import Source
from app.sealing.x25519 import Identity
with Source(Path(sys.argv[1])) as source:
    me = Identity.generate(os.urandom)
    for segment in ItemSealer(source, keys=ItemKeys.generate(os.urandom), recipient=me.recipient).segments():
        segment.release()
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak_mib(size: int) -> float:
        path = tmp_path / str(size)
        path.touch()
        os.truncate(path, size)
        done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
        return int(done.stdout) / 1024

    small, large = peak_mib(96 * MIB), peak_mib(512 * MIB)
    assert large < 200
    assert abs(large - small) < 24
