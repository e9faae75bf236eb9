"""The servers of `ops.cluster.servers` for tests.

Only where somebody left the `test` extra out do the tests skip (loudly), and in CI they fail.
"""

from pathlib import Path

import pytest
from minio import Minio

from ops.cluster import servers
from ops.cluster.servers import NotInstalled, Server, free_ports, running
from tests.conftest import IN_CI

__all__ = [
    "S3_SECRET",
    "S3_USER",
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


def s3_server(folder: Path, port: int) -> Server:
    """See `servers.s3_server`."""
    demand(servers.S3)
    return servers.s3_server(folder, port, S3_USER, S3_SECRET)


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
