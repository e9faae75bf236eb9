"""Deposits on a real S3 server beside rclone's crypt remote, restic, and stock age piped into an S3 upload.

One file of 1 GiB of random bytes, in the page cache, to one server on loopback (SeaweedFS; MUNIMENT_BENCH_S3=minio for
MinIO), rounds in turns. Time and CPU are those of the client's processes; the server takes its share of the same cores.
The two limits of the path: the same segments, sealed beforehand, PUT by aiohttp; and sealing alone. A tool that is not
installed is left out, in a row that says so. MUNIMENT_BENCH_LARGE=0 leaves out 8 GiB.
"""

import asyncio
import base64
import hashlib
import json
import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import yarl

from app.client.deposit import Depositor, Evidence
from app.client.home import Home, Settings
from app.client.session import Client
from app.sealing.keys import ItemKeys
from app.sealing.pipeline import ItemSealer
from app.sealing.sources import Source
from app.sealing.x25519 import Identity
from ops.bench import Row, sealing
from ops.cluster.servers import S3Kind, free_ports, running, s3_client, s3_server
from storage.credentials import Credentials
from storage.sigv4 import presign
from tests.faults.town import ROOT, Town, make_town

TITLE = "deposits on an S3 server on loopback, one file of 1 GiB"
GIB = 1024 * 1024 * 1024
ROUNDS = int(os.environ.get("MUNIMENT_BENCH_ROUNDS", "3"))
LARGE = os.environ.get("MUNIMENT_BENCH_LARGE", "1") != "0"
KIND = S3Kind(os.environ.get("MUNIMENT_BENCH_S3", S3Kind.SEAWEEDFS))
SMALL, SMALL_BYTES, CLIENTS = 100, 4096, (1, 8, 32)
PARALLEL = 4
_USER, _SECRET = "bench", "bench-" + secrets.token_hex(8)
_DRIVER = """
import sys
from app.cli.main import main
code = main(sys.argv[1:])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one run took: seconds, CPU seconds of the client's processes, its peak memory where it says so; and CPU
    seconds of the S3 server and of the service meanwhile."""

    seconds: float
    cpu: float
    peak_kib: int = 0
    server_cpu: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where everything is: a folder, the S3 server's port, the registry's people and its URL, the file."""

    folder: Path
    port: int
    town: Town
    url: str
    file: Path
    servers: tuple[int, ...]
    """Process ids of the S3 server and of the service."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def run() -> tuple[Row, ...]:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="muniment-bench-") as folder, _place(Path(folder)) as place:
        contenders: dict[str, Callable[[Place, int], Taken]] = {"muniment": _muniment}
        rows = []
        for name, tools, contender in (
            ("rclone crypt", ("rclone",), _rclone),
            ("restic", ("restic",), _restic),
            ("age | rclone rcat", ("age", "rclone"), _age),
        ):
            missing = [tool for tool in tools if shutil.which(tool) is None]
            if missing:
                rows.append(Row(what=name, figure=f"NOT MEASURED: {', '.join(missing)} is not installed"))
            else:
                contenders[name] = contender
        contenders["limit: sealed segments, PUT"] = _put
        contenders["limit: sealing alone"] = lambda place, _round: _sealing(place)
        taken: dict[str, list[Taken]] = {name: [] for name in contenders}
        for number in range(ROUNDS):
            for name, contender in contenders.items():
                before = _cpu_of(place.servers)
                last = contender(place, number)
                last = replace(last, server_cpu=_cpu_of(place.servers) - before)
                taken[name].append(last)
                print(
                    f"round {number + 1}, {name}: {last.seconds:.1f} s, {last.cpu:.1f} CPU-s",
                    file=sys.stderr,
                    flush=True,
                )
        ours = taken["muniment"]
        rows = [_row(name, runs, ours) for name, runs in taken.items()] + rows
        slower = max(_best(taken[name]) for name in taken if name.startswith("limit"))
        rows.append(
            Row(what="muniment / slower limit, best", figure="", ratio=f"{slower / _best(ours):.2f}", against="0.9")
        )
        rows += [asyncio.run(_small(place, clients)) for clients in CLIENTS]
        rows.append(Row(what="peak memory, 1 GiB", figure=f"{max(each.peak_kib for each in ours) / 1024:.0f} MiB"))
        if LARGE:
            large = place.folder / "large"
            with large.open("wb") as file:
                file.truncate(8 * GIB)
            eight = _muniment(replace(place, file=large), 0)
            rows.append(
                Row(what="peak memory, 8 GiB", figure=f"{eight.peak_kib / 1024:.0f} MiB in {eight.seconds:.0f} s")
            )
        return tuple(rows)


def _best(runs: list[Taken]) -> float:
    return min(each.seconds for each in runs)


def _row(name: str, runs: list[Taken], ours: list[Taken]) -> Row:
    median = statistics.median(each.seconds for each in runs)
    cpu = statistics.median(each.cpu for each in runs)
    server = statistics.median(each.server_cpu for each in runs)
    against = "" if runs is ours else f"muniment takes so much less time: {_best(runs):.1f} / {_best(ours):.1f} s"
    return Row(
        what=name,
        figure=f"{_best(runs):.1f} s best, {median:.1f} s median, {cpu:.1f} CPU-s; servers {server:.1f} CPU-s",
        ratio="" if runs is ours else f"{_best(runs) / _best(ours):.2f}",
        against=against,
    )


def _cpu_of(pids: tuple[int, ...]) -> float:
    """CPU seconds of processes so far; 0 where there is no /proc."""
    ticks = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists():
            ticks += sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def _place(folder: Path) -> Iterator[Place]:
    file = folder / "evidence.bin"
    with file.open("wb") as out:
        for _ in range(GIB // (64 * 1024 * 1024)):
            out.write(os.urandom(64 * 1024 * 1024))  # nothing in it twice: restic would send it once
    (port,) = free_ports(1)
    (folder / "s3").mkdir()
    os.environ |= {"MUNIMENT_S3_ACCESS_KEY": _USER, "MUNIMENT_S3_SECRET_KEY": _SECRET}
    town = asyncio.run(make_town(folder / "town"))
    with (town.registry / "muniment.toml").open("a") as config:
        config.write(f'blobs = "s3+http://127.0.0.1:{port}/evidence"\n')
    with running(s3_server(folder / "s3", port, _USER, _SECRET, KIND)) as server:
        s3_client(port, _USER, _SECRET).make_bucket("others")
        served = subprocess.Popen(
            [sys.executable, "-m", "app.cli.main", "serve", "--dir", str(town.registry), "--listen", "127.0.0.1:0"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert served.stdout is not None
            url = served.stdout.readline().removeprefix("listening on ").strip()
            pids = (server.pid, served.pid)
            yield Place(folder=folder, port=port, town=town, url=url, file=file, servers=pids)
        finally:
            served.terminate()
            served.wait()


def _measure(commands: list[list[str]], environ: dict[str, str], *, cwd: Path = ROOT) -> Taken:
    """Run a command, or several as a pipe; raise when one fails."""
    began, processes, source = time.perf_counter(), [], subprocess.DEVNULL
    with tempfile.TemporaryFile() as said:
        for number, command in enumerate(commands):
            last = number == len(commands) - 1
            out = subprocess.DEVNULL if last else subprocess.PIPE
            process = subprocess.Popen(command, env=environ, cwd=cwd, stdin=source, stdout=out, stderr=said)
            if process.stdout is not None:
                source = process.stdout.fileno()
            processes.append(process)
        for process in processes[:-1]:
            assert process.stdout is not None
            process.stdout.close()  # only the next one reads it
        cpu = 0.0
        for process in processes:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu += used.ru_utime + used.ru_stime
        seconds = time.perf_counter() - began
        said.seek(0)
        text = said.read().decode(errors="replace").strip()
        if any(process.returncode for process in processes):
            raise RuntimeError(f"{commands[-1][0]} failed: {text[-1000:]}")
    last_word = text.split()[-1] if text else ""
    return Taken(seconds=seconds, cpu=cpu, peak_kib=int(last_word) if last_word.isdigit() else 0)


def _muniment(place: Place, _round: int) -> Taken:
    place.town.cast["lawyer-1"].home.set_settings(Settings(service=place.url))
    words = ["deposit", str(place.file), "--case", place.town.case_id.hex(), "--json"]
    return _measure([[sys.executable, "-c", _DRIVER, *words]], place.town.environ("lawyer-1"))


def _plain_environ() -> dict[str, str]:
    """Without what this machine tells such tools of other servers: keys, certificates, proxies."""
    return {name: value for name, value in os.environ.items() if not re.match(r"(?i)aws_|https?_proxy", name)}


def _rclone_environ(place: Place) -> dict[str, str]:
    hidden = subprocess.run(
        ["rclone", "obscure", "password"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return {
        **_plain_environ(),
        "RCLONE_CONFIG": str(place.folder / "rclone.conf"),
        "RCLONE_CONFIG_S_TYPE": "s3",
        "RCLONE_CONFIG_S_PROVIDER": "Other",
        "RCLONE_CONFIG_S_ENDPOINT": place.endpoint,
        "RCLONE_CONFIG_S_ACCESS_KEY_ID": _USER,
        "RCLONE_CONFIG_S_SECRET_ACCESS_KEY": _SECRET,
        "RCLONE_CONFIG_S_NO_CHECK_BUCKET": "true",
        "RCLONE_CONFIG_C_TYPE": "crypt",
        "RCLONE_CONFIG_C_REMOTE": "s:others/crypt",
        "RCLONE_CONFIG_C_PASSWORD": hidden,
    }


def _rclone(place: Place, number: int) -> Taken:
    return _measure([["rclone", "copyto", str(place.file), f"c:round-{number}"]], _rclone_environ(place))


def _restic(place: Place, number: int) -> Taken:
    environ = {
        **_plain_environ(),
        "AWS_ACCESS_KEY_ID": _USER,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "RESTIC_PASSWORD": "password",
        "RESTIC_CACHE_DIR": str(place.folder / "restic"),
        "RESTIC_REPOSITORY": f"s3:{place.endpoint}/others/restic-{number}",
    }
    subprocess.run(["restic", "init", "--quiet"], env=environ, check=True, stdout=subprocess.DEVNULL)
    return _measure([["restic", "backup", "--quiet", str(place.file)]], environ)


def _age(place: Place, number: int) -> Taken:
    to = Identity.generate(os.urandom).recipient.format()
    upload = ["rclone", "rcat", f"s:others/age-{number}"]
    return _measure([["age", "-r", to, str(place.file)], upload], _rclone_environ(place))


def _sealing(place: Place) -> Taken:
    seconds = sealing._timed([["seal", str(place.file)]])
    return Taken(seconds=seconds, cpu=0)


def _put(place: Place, number: int) -> Taken:
    parts = place.folder / "parts"
    if not parts.exists():
        parts.mkdir()
        with Source(place.file) as source:
            me, keys = Identity.generate(os.urandom), ItemKeys.generate(os.urandom)
            for segment in ItemSealer(source, keys=keys, recipient=me.recipient).segments():
                (parts / f"{segment.index:04}").write_bytes(segment.data)
                segment.release()
        _write_digests(parts)
    command = [sys.executable, "-m", "ops.bench.stores", str(parts), place.endpoint, str(number)]
    return _measure([command], {**os.environ, "PYTHONPATH": str(ROOT)})


def _write_digests(parts: Path) -> None:
    digests = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in sorted(parts.iterdir())}
    named = {name: base64.b64encode(digest).decode() for name, digest in digests.items()}
    (parts / "digests.json").write_text(json.dumps(named))


async def _put_all(parts: Path, endpoint: str, number: str) -> None:
    """In a process of its own: what a client cannot beat. Each segment in one piece, as it lies in memory."""
    digests: dict[str, str] = json.loads((parts / "digests.json").read_text())
    names = iter(digests.items())
    who = Credentials(name=os.environ["MUNIMENT_S3_ACCESS_KEY"], secret=os.environ["MUNIMENT_S3_SECRET_KEY"])
    async with aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session:

        async def work() -> None:
            for name, digest in names:
                data = (parts / name).read_bytes()
                headers = {"content-length": str(len(data)), "if-none-match": "*", "x-amz-checksum-sha256": digest}
                url = presign(
                    "PUT",
                    endpoint,
                    f"/others/put-{number}/{name}",
                    headers=headers,
                    credentials=who,
                    region="us-east-1",
                    now=int(time.time()),
                    expires_in=900,
                )
                async with session.put(yarl.URL(url, encoded=True), data=data, headers=headers) as answer:
                    answer.raise_for_status()

        await asyncio.gather(*(work() for _ in range(PARALLEL)))


async def _small(place: Place, clients: int) -> Row:
    """100 deposits of 4 KiB by some clients at once, each with a home of its own; all in one process of Python.

    The clock runs when all are connected and have followed the ledger so far.
    """
    files = place.folder / f"small-{clients}"
    files.mkdir()
    todo, took = iter(range(SMALL)), []

    async def work(client: Client) -> None:
        for number in todo:
            file = files / f"{number}"
            file.write_bytes(os.urandom(SMALL_BYTES))
            began = time.perf_counter()
            await Depositor(client).deposit(place.town.case_id, [Evidence(path=file)])
            took.append(time.perf_counter() - began)

    async with AsyncExitStack() as stack:
        connected = []
        for number in range(clients):
            home = files / f"home-{number}"
            shutil.copytree(place.town.cast["lawyer-1"].home.path, home)
            people = {**place.town.cast.people}
            people["lawyer-1"] = replace(people["lawyer-1"], home=Home(home))
            town = replace(place.town, cast=replace(place.town.cast, people=people))
            connected.append(await stack.enter_async_context(town.client("lawyer-1", place.url)))
            await connected[-1].sync()
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work(client) for client in connected))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    took.sort()
    return Row(
        what=f"{SMALL} deposits of 4 KiB, {clients} client{'s' if clients > 1 else ''}",
        figure=f"{SMALL / seconds:.1f} a second; p50 {took[SMALL // 2] * 1000:.0f} ms, p99 {took[-2] * 1000:.0f} ms",
        against=f"the clients' own CPU: {cpu / SMALL * 1000:.0f} ms each",
    )


if __name__ == "__main__":
    asyncio.run(_put_all(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
