"""Opening evidence: all of a file or nothing, never over another one, and only what the manifest names."""

import hashlib
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import AppError, BadInput, Mismatch
from app.sealing import unseal
from app.sealing.age import encrypt_bytes
from app.sealing.keys import ItemKeys
from app.sealing.pipeline import ItemSealer, Sealed
from app.sealing.scrypt import Passphrase
from app.sealing.segments import MAX_SEGMENT_BYTES, SEGMENT_PLAIN_BYTES
from app.sealing.sources import Source
from app.sealing.unseal import OutputFile, Unsealer, unseal_to_bytes, unseal_to_file
from app.sealing.x25519 import Identity

ME = Identity.generate(random.Random(1).randbytes)
OTHER = Identity.generate(random.Random(2).randbytes)
DATA = random.Random(3).randbytes(SEGMENT_PLAIN_BYTES + 200_000)


def seal(data: bytes) -> tuple[list[bytes], Sealed]:
    with Source(data) as source:
        sealer = ItemSealer(source, keys=ItemKeys.generate(os.urandom), recipient=ME.recipient)
        return [bytes(each.data) for each in sealer.segments()], sealer.result


PARTS, SEALED = seal(DATA)
SMALL_PARTS, SMALL = seal(b"small")


def open_it(path: Path, parts: list[bytes], sealed: Sealed = SEALED, identity: Identity = ME, **more: object) -> None:
    unseal_to_file(
        path,
        parts,
        length=sealed.length,
        segments=sealed.segments,
        identity=identity,
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 1 << 20, (1 << 20) + 1, SEGMENT_PLAIN_BYTES])
def test_round_trip(size: int, tmp_path: Path) -> None:
    data = DATA[:size]
    parts, sealed = seal(data)
    seen: list[int] = []
    path = tmp_path / "out"
    open_it(path, parts, sealed, size=size, sha256=sealed.sha256, progress=seen.append)
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o600
    assert seen[-1] == size
    assert os.listdir(tmp_path) == ["out"]
    arguments = {"length": sealed.length, "segments": sealed.segments, "identity": ME}
    assert unseal_to_bytes(parts, **arguments, max_bytes=size) == data  # type: ignore[arg-type]
    with pytest.raises(BadInput):
        unseal_to_bytes(parts, **arguments, max_bytes=size - 1)  # type: ignore[arg-type]


def flipped(parts: list[bytes], index: int, at: int) -> list[bytes]:
    changed = bytearray(parts[index])
    changed[at] ^= 1
    return [*parts[:index], bytes(changed), *parts[index + 1 :]]


def rehashed(parts: list[bytes]) -> Sealed:
    """What a manifest says whose author sealed altered bytes: every hash is right, the content is not."""
    hashes = tuple(hashlib.sha256(each).digest() for each in parts)
    return Sealed(size=SEALED.size, sha256=SEALED.sha256, length=sum(map(len, parts)), segments=hashes)


BAD_TAG = flipped(PARTS, 1, 70_000)
# Another letter of base64 in the MAC's place: a flipped bit may leave the alphabet, which is another error.
AT = PARTS[0].index(b"\n--- ") + 5
BAD_MAC = [PARTS[0][:AT] + (b"B" if PARTS[0][AT : AT + 1] == b"A" else b"A") + PARTS[0][AT + 1 :], *PARTS[1:]]


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        (lambda path: open_it(path, flipped(PARTS, 0, 0)), "segment_mismatch"),
        (lambda path: open_it(path, flipped(PARTS, 1, -1)), "segment_mismatch"),
        (lambda path: open_it(path, PARTS[:1]), "missing_segments"),
        (lambda path: open_it(path, []), "missing_segments"),
        (lambda path: open_it(path, [*PARTS, b"more"]), "segment_mismatch"),
        (lambda path: open_it(path, PARTS[::-1]), "segment_mismatch"),
        (lambda path: open_it(path, [PARTS[0] + PARTS[1]]), "segment_mismatch"),
        (lambda path: open_it(path, PARTS, identity=OTHER), "no_matching_key"),
        (lambda path: open_it(path, BAD_TAG, rehashed(BAD_TAG)), "bad_payload"),
        (lambda path: open_it(path, BAD_MAC, rehashed(BAD_MAC)), "bad_header_mac"),
        (lambda path: open_it(path, PARTS[:1], rehashed(PARTS[:1])), "bad_payload"),
        (lambda path: open_it(path, PARTS, size=5), "content_differs"),
        (lambda path: open_it(path, PARTS, sha256=bytes(32)), "content_differs"),
        (lambda path: open_it(path, PARTS, SMALL), "segment_mismatch"),
    ],
)
def test_nothing_is_left_after_a_failure(attack: Callable[[Path], None], code: str, tmp_path: Path) -> None:
    with pytest.raises(AppError) as caught:
        attack(tmp_path / "out")
    assert caught.value.code == code
    assert os.listdir(tmp_path) == []


def test_hashes_that_do_not_fit_the_length_are_refused() -> None:
    with pytest.raises(BadInput) as caught:
        Unsealer(length=SMALL.length, segments=SEALED.segments, identity=ME, write=len)
    assert caught.value.code == "wrong_segment_count"


def test_a_header_of_another_size_is_refused(tmp_path: Path) -> None:
    file = encrypt_bytes(b"x" * 500, [OTHER.recipient, ME.recipient], os.urandom)
    with pytest.raises(BadInput) as caught:
        open_it(tmp_path / "out", [file], rehashed([file]))
    assert caught.value.code == "bad_age_header"
    assert os.listdir(tmp_path) == []


def test_an_item_under_a_passphrase_is_refused() -> None:
    file = encrypt_bytes(b"x" * 500, [Passphrase("p", log_n=1)], os.urandom)
    sealed = rehashed([file])
    unsealer = Unsealer(length=sealed.length, segments=sealed.segments, identity=Passphrase("p"), write=len)
    with pytest.raises(BadInput) as caught:
        unsealer.add(file)
    assert caught.value.code == "bad_age_header"


def test_an_existing_output_is_seen_before_anything_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    parts = iter(SMALL_PARTS)
    with pytest.raises(BadInput):
        open_it(tmp_path / "out", parts, SMALL)  # type: ignore[arg-type]
    assert list(parts) == SMALL_PARTS


def test_an_existing_output_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("mine")
    with pytest.raises(BadInput) as caught:
        open_it(path, SMALL_PARTS, SMALL)
    assert caught.value.code == "output_exists"
    dangling = tmp_path / "link"
    dangling.symlink_to(tmp_path / "target")
    with pytest.raises(BadInput):
        open_it(dangling, SMALL_PARTS, SMALL)
    assert path.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["link", "out"]


@pytest.mark.parametrize("links", [True, False])
def test_an_output_that_appears_meanwhile_is_not_overwritten(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:  # as on FAT, which a court's memory sticks have

        def no_links(*_: object) -> None:
            raise PermissionError("no hard links here")

        monkeypatch.setattr(unseal.os, "link", no_links)
    path = tmp_path / "out"
    with OutputFile(path) as output:
        output.write(memoryview(b"ours"))
        path.write_text("theirs")
        with pytest.raises(BadInput) as caught:
            output.commit()
    assert caught.value.code == "output_exists"
    assert path.read_text() == "theirs"
    assert os.listdir(tmp_path) == ["out"]
    path.unlink()
    open_it(path, SMALL_PARTS, SMALL)
    assert path.read_bytes() == b"small"
    assert os.listdir(tmp_path) == ["out"]


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        open_it(tmp_path / "absent" / "out", SMALL_PARTS, SMALL)
    assert caught.value.code == "unwritable"


def test_nothing_is_written_before_the_segment_is_checked() -> None:
    written: list[int] = []
    unsealer = Unsealer(
        length=SEALED.length, segments=SEALED.segments, identity=ME, write=lambda data: written.append(len(data))
    )
    with pytest.raises(Mismatch):
        unsealer.add(flipped(PARTS, 0, MAX_SEGMENT_BYTES - 1)[0])
    assert written == []
    unsealer.add(PARTS[0])  # the same place again, as after a repeated download
    unsealer.add(memoryview(PARTS[1]))
    assert unsealer.finish().sha256 == SEALED.sha256


@pytest.mark.foreign("age")
def test_stock_age_wrote_it_and_we_open_it(tmp_path: Path) -> None:
    for size in (0, 1, 65536, 65537):
        data = DATA[:size]
        done = subprocess.run(["age", "-r", ME.recipient.format()], input=data, capture_output=True, check=True)
        open_it(tmp_path / str(size), [done.stdout], rehashed([done.stdout]))
        assert (tmp_path / str(size)).read_bytes() == data
