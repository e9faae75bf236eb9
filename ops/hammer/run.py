"""The whole run: found a registry, start the replicas, let writers write and the killer kill, stop, audit, judge.

Two witnesses run beside it, and the policy that every receipt must meet demands both.
"""

import asyncio
import json
import os
import random
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from app.client.founding import found
from app.client.home import Keys
from app.demo.witnesses import make_witnesses, watching
from app.sealing.hybrid import PqIdentity
from app.service.found import registry_settings, write_registry
from app.service.logstore import RecordLogStore
from app.statements.kinds import Authority
from app.statements.statement import Signer
from app.wiring import open_stores
from ledger.note import KeyType, Note, VerifierKey
from ledger.policy import Policy
from ledger.tree import Tree
from ops.hammer.replicas import Replica, kill_at_random
from ops.hammer.verdict import breaches
from ops.hammer.writers import post, write

ORIGIN = "hammer.example/ledger"
CADENCE = 50
"""Milliseconds between publications."""
PATIENCE = 30_000
"""Milliseconds that a publication waits for the witnesses, which are well, however busy the machine is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done and what was found; no breach and a clean audit are what is asked for."""

    seconds: float
    entries: int
    acknowledged: int
    answered_again: int
    retries: int
    kills: int
    checkpoints: int
    longest: float
    audit: str
    """What `muniment audit` printed; empty when it found nothing."""
    breaches: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether everything that was promised was kept."""
        return not self.audit and not self.breaches


async def hammer(
    folder: Path, *, seconds: float, writers: int, replicas: int, every: float, seed: int, kills: int = 0
) -> Outcome:
    """Run in an empty `folder`. `every`: seconds between kills, on average. `seed` makes the killer's draws. On a busy
    machine, where few are killed in `seconds`, it goes on until there were `kills`."""
    rng = random.Random(seed)  # noqa: S311 - draws victims, not keys
    registrar = Keys(seed=os.urandom(32), notes=PqIdentity(os.urandom(32)), name="Hammer")
    log_seed, service_seed = os.urandom(32), os.urandom(32)
    log = VerifierKey(name=ORIGIN, type=KeyType.ED25519, public_key=Signer(log_seed).public)
    witnesses = await make_witnesses(folder / "witnesses", log)
    founding = found(
        origin=ORIGIN,
        registrar=registrar,
        authority=Authority(keys=(Signer(os.urandom(32)).public,), m=1),
        log_seed=log_seed,
        service_seed=service_seed,
        now=int(time.time()),
        rng=os.urandom,
        witnesses=witnesses,
    )
    settings = registry_settings(folder, origin=ORIGIN, genesis=founding.genesis.digest)
    settings = replace(
        settings,
        witnesses=folder / "witnesses.txt",
        publication_milliseconds=CADENCE,  # so that many answers are given between two kills
        witness_milliseconds=PATIENCE,
    )
    write_registry(folder, settings, log_seed=log_seed, service_seed=service_seed)
    (folder / "witnesses.txt").write_text(founding.policy, encoding="utf-8")
    policy = Policy.parse(founding.policy)
    running = [Replica(str(number), folder, folder / f"replica-{number}.log") for number in range(replicas)]
    async with watching(folder / "witnesses"):
        try:
            for replica in running:
                await replica.start()
            first = await post(running[0], founding.genesis)
            began, over = time.monotonic(), asyncio.Event()
            killer = asyncio.create_task(kill_at_random(running, rng, every, over))
            works = [
                asyncio.create_task(write(registrar.signer, ORIGIN, first, running, until=over.is_set))
                for _ in range(writers)
            ]
            everything = asyncio.gather(killer, *works)
            await asyncio.wait({everything}, timeout=seconds)  # whoever fails ends the run at once
            while not everything.done() and sum(replica.kills for replica in running) < kills:
                await asyncio.wait({everything}, timeout=0.5)
            over.set()
            _, *written = await everything
            took = time.monotonic() - began
            final = await _newest(running)
        finally:
            codes = [await replica.stop() for replica in running]
    if any(codes):
        raise RuntimeError(f"the replicas ended with {codes}; see {folder}/replica-*.log")
    seen = [receipt.proof.checkpoint for each in written for receipt in each.receipts]
    async with open_stores(settings, must_exist=True) as stores:
        found_wrong = await breaches(Tree(RecordLogStore(stores.records)), final, policy, seen, written)
        size = await Tree(RecordLogStore(stores.records)).size()
    return Outcome(
        seconds=took,
        entries=size,
        acknowledged=sum(len(each.receipts) for each in written),
        answered_again=sum(each.answered_again for each in written),
        retries=sum(each.retries for each in written),
        kills=sum(replica.kills for replica in running),
        checkpoints=len(set(seen)),
        longest=max(each.longest for each in written),
        audit=await _audit(folder),
        breaches=tuple(found_wrong),
    )


async def _newest(replicas: list[Replica]) -> str:
    """The checkpoint that the replicas agree on, now that nobody writes. Each has its own cosignatures."""
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        texts = []
        for replica in replicas:
            async with session.get(f"{replica.url}/checkpoint") as answer:
                texts.append(await answer.text())
    if len({Note.parse(text).text for text in texts}) != 1:
        raise RuntimeError(f"the replicas show different checkpoints of one ledger: {texts}")
    return texts[0]


async def _audit(folder: Path) -> str:
    command = [sys.executable, "-m", "app.cli.main", "audit", "--dir", str(folder), "--json"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode == 0 and json.loads(out)["ok"]:
        return ""
    return f"exit code {process.returncode}\n{out.decode()}\n{err.decode()}"
