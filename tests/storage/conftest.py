"""One server of each sort for the whole run, started when the first test asks for it."""

from collections.abc import Iterator

import pytest

from tests.servers import free_ports, mongo_server, running, s3_server


@pytest.fixture(scope="session")
def mongo_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    (port,) = free_ports(1)
    with running(mongo_server(tmp_path_factory.mktemp("mongo"), port, "--enable-test-commands")):
        yield port


@pytest.fixture(scope="session")
def s3_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    (port,) = free_ports(1)
    with running(s3_server(tmp_path_factory.mktemp("s3"), port)):
        yield port
