"""Shared ground: foreign tools, hypothesis profiles."""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.servers import S3Kind

IN_CI = os.environ.get("CI", "") not in ("", "0", "false")

# Machines are noisy: no deadlines. A failing example prints the blob that reproduces it.
hypothesis.settings.register_profile("muniment", deadline=None, print_blob=True)
hypothesis.settings.load_profile("muniment")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test go first: begun last, one would keep one processor busy while the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _foreign_tools(request: pytest.FixtureRequest) -> None:
    """A test marked `foreign("age")` skips without the tool, saying so, and fails without it in CI."""
    for marker in request.node.iter_markers("foreign"):
        for tool in marker.args:
            if shutil.which(tool) is None:
                if IN_CI:
                    pytest.fail(f"CI must have the foreign tool {tool!r}: see .ci/run")
                pytest.skip(f"the foreign tool {tool!r} is not installed (Debian: apt-get install {tool})")


@pytest.fixture(scope="session")
def mongo_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server of MongoDB's wire protocol, one for the whole run: a database a test."""
    from tests.servers import free_ports, mongo_server, running

    (port,) = free_ports(1)
    with running(mongo_server(tmp_path_factory.mktemp("mongo"), port, "--enable-test-commands")):
        yield port


@pytest.fixture(scope="session", params=["seaweedfs", pytest.param("minio", marks=pytest.mark.minio)])
def s3_kind(request: pytest.FixtureRequest) -> "S3Kind":
    """Each S3 server in turn: what is said of one must be true of all."""
    from tests.servers import S3Kind

    return S3Kind(request.param)


@pytest.fixture(scope="session")
def s3_port(tmp_path_factory: pytest.TempPathFactory, s3_kind: "S3Kind") -> Iterator[int]:
    """The port of an S3 server, one of each kind for the whole run: a bucket a test."""
    from tests.servers import free_ports, running, s3_server

    (port,) = free_ports(1)
    with running(s3_server(tmp_path_factory.mktemp("s3"), port, s3_kind)):
        yield port
