"""Another project's C2SP tools, `aics-tlog` and `aics-witness`, and ours, each reading what the other made.

They come from the package index, pinned by `aics.lock`, which `make` installs on every Python (decision 0132).
"""

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from app.monitor.folder import Folder
from app.monitor.follow import Monitor, Outcome
from ledger.cosignature import Cosigner, MLDSA44Cosigner
from ledger.errors import BadProof
from ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from ledger.note import NoteSigner, VerifierKey
from ledger.policy import Policy
from ledger.proof import Proof
from ledger.witness import AddCheckpoint
from tests.app.rules.world import ORIGIN, peopled, seed
from tests.conftest import IN_CI
from tests.ledger.growing import GrowingLog
from tests.monitor.shown import DictSource, files_of
from tests.service.house import House, open_house, terms_of
from tests.service.test_commands import written
from tests.service.test_export import export, filled, plain_server
from tests.witness.serving import NOW, cosigner, request, serving

LOCK = Path(__file__).with_name("aics.lock")
WHY = f"aics-tlog and aics-witness are not installed: pip install --no-deps --ignore-requires-python -r {LOCK}"
if IN_CI and find_spec("aics_witness") is None:
    pytest.fail(f"CI must have them: {WHY}", pytrace=False)
tlog: Any = pytest.importorskip("aics_tlog", reason=WHY)
witness: Any = pytest.importorskip("aics_witness", reason=WHY)

KEY = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(seed("log"))).key
LOG = GrowingLog(entries=700)
THEIR_ORIGIN = "aics.example/log"


def their_key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([200 + number]) * 32)


class TheirLog:
    """A log that their writer made."""

    def __init__(self, entries: int) -> None:
        self.store = tlog.MemoryTileStore()
        self.writer = tlog.IncrementalTileWriter(self.store)
        self.tree = tlog.MerkleTree()
        self.vkey = tlog.vkey_from_ed25519(THEIR_ORIGIN, their_key(0).public_key())
        self.grow(entries)

    def grow(self, entries: int) -> None:
        fresh = [b"theirs %d" % number for number in range(self.tree.size, self.tree.size + entries)]
        self.writer.append(fresh)
        self.tree.extend(fresh)

    def signed(self, size: int | None = None) -> str:
        size = self.tree.size if size is None else size
        checkpoint = tlog.Checkpoint(origin=THEIR_ORIGIN, size=size, root=self.tree.root(size))
        return str(tlog.sign_checkpoint(checkpoint, their_key(0), THEIR_ORIGIN).serialise())


@contextmanager
def their_witness(folder: Path, log: VerifierKey) -> Iterator[tuple[str, str]]:
    """Their witness over HTTP; yields its URL and verifier key."""
    store = witness.WitnessStore(folder / "witness.sqlite", create=True)
    config = witness.LogConfig.from_strings(log.name, [log.text])
    made = witness.Witness("aics.example/w", their_key(1), store, [config])
    server = witness.make_server(made)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.url, made.vkey_text
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        store.close()


@asynccontextmanager
async def watched(url: str, vkey: str) -> AsyncIterator[tuple[House, Policy]]:
    """Our service with their witness."""
    world = peopled()
    policy = Policy.parse(f"log {KEY.text}\nwitness w {vkey} {url}\nquorum w\n")
    terms = dataclasses.replace(terms_of(world), witnesses=policy, publication_seconds=0.02, witness_seconds=5.0)
    async with open_house(world, terms=terms) as house:
        yield house, policy


def test_what_is_installed_here_is_what_the_project_pins() -> None:
    pinned = (Path(__file__).parents[2] / "ops" / "requirements.lock").read_text()
    names = [line.split()[0] for line in LOCK.read_text().splitlines() if line.startswith("aics-")]
    assert [name.split("==")[0] for name in names] == ["aics-tlog", "aics-witness"]
    for line in LOCK.read_text().splitlines():
        assert line.removesuffix(" \\") in pinned


async def test_their_client_audits_our_service_over_http() -> None:
    world = peopled()
    async with open_house(world) as house:
        await house.push()

        def look() -> None:
            reader = tlog.HttpTileReader(house.url, proxies={})
            note = tlog.parse_note(reader.read_checkpoint())
            found = tlog.verify_checkpoint(note, tlog.parse_vkey(KEY.text), expected_origin=ORIGIN)
            assert (found.ok, found.size) == (True, len(world.entries)), found.error
            report = tlog.audit_tiles(reader, found.size, found.root)
            assert (report.size, report.bundles) == (found.size, 1)
            verified = tlog.VerifiedTileReader(reader, found.size, found.root)
            for entry in world.entries:
                assert verified.entry(entry.index) == entry.leaf.encode()
                bundle = tlog.bundle_from_tiles(verified, entry.index, note)
                assert bundle is not None

        await asyncio.to_thread(look)


def test_their_client_audits_a_static_copy_on_a_plain_web_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It knows nothing of us: `muniment export --static`, Python's file server, and their reader over HTTP."""
    world = peopled()
    folder, size = written(tmp_path / "registry", world), len(world.entries)
    asyncio.run(filled(folder, world))
    export(capsys, folder, tmp_path / "out")
    with plain_server(tmp_path / "out") as url:
        reader = tlog.HttpTileReader(url, proxies={})
        note = tlog.parse_note(reader.read_checkpoint())
        found = tlog.verify_checkpoint(note, tlog.parse_vkey(KEY.text), expected_origin=ORIGIN)
        assert (found.ok, found.size) == (True, size), found.error
        report = tlog.audit_tiles(reader, found.size, found.root)
        assert (report.size, report.bundles) == (size, 1)
        verified = tlog.VerifiedTileReader(reader, found.size, found.root)
        assert [verified.entry(each.index) for each in world.entries] == [each.leaf.encode() for each in world.entries]


def test_their_audit_reads_our_tiles_and_finds_a_changed_one() -> None:
    files = files_of(LOG)
    root = LOG.checkpoint(700).root
    report = tlog.audit_tiles(tlog.MemoryTileReader(dict(files)), 700, root)
    assert (report.tiles, report.bundles) == (4, 3)
    for path in files:
        if path != "checkpoint":
            changed = files | {path: files[path][:-1] + bytes([files[path][-1] ^ 1])}
            with pytest.raises(tlog.TileVerificationError):
                tlog.audit_tiles(tlog.MemoryTileReader(changed), 700, root)


@given(st.data())
def test_proofs_go_both_ways(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 700))
    old = data.draw(st.integers(1, size))
    index = data.draw(st.integers(0, size - 1))
    entry, root, old_root = LOG.entries[index], LOG.checkpoint(size).root, LOG.checkpoint(old).root
    tree = tlog.MerkleTree(LOG.entries[:size])
    assert tree.root() == root
    ours, theirs = LOG.inclusion(index, size), tree.inclusion_proof(index)
    assert list(ours) == theirs
    assert tlog.verify_leaf_inclusion(entry, index, size, list(ours), root)
    verify_inclusion(index, size, leaf_hash(entry), theirs, root)
    assert not tlog.verify_leaf_inclusion(entry + b"!", index, size, list(ours), root)
    proof = tree.consistency_proof(old)
    assert list(LOG.consistency(old, size)) == proof
    assert tlog.verify_consistency(old, size, old_root, root, proof)
    verify_consistency(old, old_root, size, root, proof)
    if proof:
        with pytest.raises(BadProof):
            verify_consistency(old, old_root, size, root, [*proof[:-1], bytes(32)])


def test_their_verifier_takes_our_cosignatures() -> None:
    ours = cosigner(1)
    unknown = MLDSA44Cosigner(ours.key.name, MLDSA44PrivateKey.generate())  # they ignore its line, as C2SP says
    signed = LOG.signed(700) + "".join(each.cosign(LOG.checkpoint(700), NOW).text for each in (unknown, ours))
    policy = tlog.WitnessPolicy(quorum=1, witnesses=(tlog.parse_vkey(ours.key.text),), max_age_seconds=60)
    log = tlog.parse_vkey(LOG.signer.key.text)
    found = tlog.verify_checkpoint(tlog.parse_note(signed), log, policy=policy, now=NOW + 30)
    assert (found.ok, found.witnesses, found.timestamps) == (True, [ours.key.name], {ours.key.name: NOW})
    assert not tlog.verify_checkpoint(tlog.parse_note(LOG.signed(700)), log, policy=policy, now=NOW).ok


async def test_their_witness_cosigns_our_service_and_receipts_carry_it(tmp_path: Path) -> None:
    with their_witness(tmp_path, KEY) as (url, vkey):
        async with watched(url, vkey) as (house, policy):
            for entry in house.world.entries[:5]:
                house.clock[0] = house.world.now
                answer = (await house.post(entry.statement)).json
                proof = Proof.parse(answer["tlog_proof"])
                found = proof.verify(policy, leaf_hash(answer["leaf"].encode()))
                assert (found.quorum_met, [each.witness for each in found.cosigners]) == (True, ["w"])
            text = (await house.call("GET", "checkpoint")).body.decode()
            theirs = tlog.verify_checkpoint(
                tlog.parse_note(text),
                tlog.parse_vkey(KEY.text),
                policy=tlog.WitnessPolicy(quorum=1, witnesses=(tlog.parse_vkey(vkey),), max_age_seconds=600),
            )
            assert theirs.ok, theirs.error


def test_their_witness_refuses_our_fork(tmp_path: Path) -> None:
    fork = GrowingLog(entries=700)
    fork.entries[7] = b"rewritten"
    with their_witness(tmp_path, LOG.signer.key) as (url, vkey), witness.WitnessClient(url, vkey) as client:
        client.submit(LOG.signed(300), lambda old, new: list(LOG.consistency(old, new)))
        client.submit(LOG.signed(700), lambda old, new: list(LOG.consistency(old, new)))
        for log in (fork, GrowingLog(entries=700, seed=9)):
            with pytest.raises(witness.FeederError):
                client.submit(log.signed(700), lambda old, new, log=log: list(log.consistency(old, new)))


@pytest.mark.parametrize("post_quantum", [False, True])
async def test_our_witness_cosigns_their_log_for_their_client(post_quantum: bool) -> None:
    log = TheirLog(300)
    cosigners: list[Cosigner] = [cosigner(1)]
    if post_quantum:
        cosigners.append(MLDSA44Cosigner(cosigner(1).key.name, MLDSA44PrivateKey.generate()))
    async with serving([VerifierKey.parse(tlog.format_vkey(log.vkey))], cosigners) as url:

        def feed() -> None:
            with witness.WitnessClient(url, cosigner(1).key.text, clock=lambda: NOW) as client:
                lines = client.submit(log.signed(), log.tree.consistency_proof)
                assert lines.startswith(f"\u2014 {cosigner(1).key.name} ")
                log.grow(400)
                client.submit(log.signed(), log.tree.consistency_proof)
                client.submit(log.signed(), log.tree.consistency_proof)
                with pytest.raises(witness.WitnessAhead):
                    client.submit(log.signed(300), log.tree.consistency_proof)
                log.tree = tlog.MerkleTree([b"another"] * 800)
                with pytest.raises(witness.WitnessRejected) as refused:
                    client.submit(log.signed(), log.tree.consistency_proof)
                assert refused.value.status == 422

        await asyncio.to_thread(feed)


def test_requests_are_written_and_read_alike() -> None:
    body = request(300, 700, LOG)
    theirs = witness.protocol.parse_add_checkpoint_request(body)
    assert (theirs.old_size, list(theirs.proof)) == (300, list(LOG.consistency(300, 700)))
    made = witness.protocol.format_add_checkpoint_request(
        300, list(LOG.consistency(300, 700)), LOG.signed(700).encode()
    )
    assert made == body
    assert AddCheckpoint.parse(made).checkpoint == LOG.signed(700)


async def test_our_monitor_follows_their_log(tmp_path: Path) -> None:
    log = TheirLog(300)
    files: dict[str, bytes] = {}
    policy = Policy.parse(f"log {tlog.format_vkey(log.vkey)}\nquorum none\n")
    monitor = Monitor(DictSource(files), policy, Folder(tmp_path), lambda: NOW)
    for grown in (0, 1, 500, 70_000):
        log.grow(grown)
        files.clear()
        files.update(log.store.tiles, checkpoint=log.signed().encode())
        look = await monitor.look(entries=True)
        assert (look.outcome, look.size, look.read) == (Outcome.CONSISTENT, log.tree.size, log.tree.size)
