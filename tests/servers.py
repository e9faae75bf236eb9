"""The servers of `ops.cluster.servers` for tests.

Where somebody left the `test` extra out, the tests skip (loudly), and in CI they fail. So they do without MinIO, which
is not to be had without Go: `.ci/run` builds it, and says in MUNIMENT_WITHOUT_MINIO why it could not.
"""

import os
import shutil
from pathlib import Path

import pytest
from minio import Minio

from ops.cluster import servers
from ops.cluster.servers import NotInstalled, S3Kind, Server, free_ports, running
from tests.conftest import IN_CI

__all__ = [
    "S3_SECRET",
    "S3_USER",
    "S3Kind",
    "Server",
    "demand",
    "free_ports",
    "mongo_server",
    "running",
    "s3_client",
    "s3_server",
]

S3_USER, S3_SECRET = "muniment-test", "not-a-secret-of-anybody"


def mongo_server(folder: Path, port: int, *options: str) -> Server:
    """See `servers.mongo_server`."""
    demand(servers.MONGO)
    return servers.mongo_server(folder, port, *options)


def s3_server(folder: Path, port: int, kind: S3Kind = S3Kind.SEAWEEDFS) -> Server:
    """See `servers.s3_server`."""
    if kind is S3Kind.MINIO:
        demand_minio()
    else:
        demand(servers.WEED)
    return servers.s3_server(folder, port, S3_USER, S3_SECRET, kind)


def s3_client(port: int) -> Minio:
    """The SDK's client with the store's own keys: the administrator, or an operator who went astray."""
    return servers.s3_client(port, S3_USER, S3_SECRET)


def demand(name: str) -> None:
    """Skip where a program is not installed; in CI fail."""
    try:
        servers.program(name)
    except NotInstalled as error:
        if IN_CI:
            pytest.fail(str(error))
        pytest.skip(str(error))


def demand_minio() -> None:
    """Skip where MinIO is not built; in CI fail, if there is a Go to build it with."""
    try:
        servers.minio_program()
    except NotInstalled as error:
        why = os.environ.get("MUNIMENT_WITHOUT_MINIO", "")
        if IN_CI and shutil.which("go") and not why:
            pytest.fail(str(error))
        pytest.skip(f"{error}{why and f' ({why})'}: make test-minio")
