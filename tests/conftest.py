"""Shared ground: foreign tools, hypothesis profiles."""

import os
import shutil

import hypothesis
import pytest

IN_CI = os.environ.get("CI", "") not in ("", "0", "false")

# Machines are noisy: no deadlines. A failing example prints the blob that reproduces it.
hypothesis.settings.register_profile("muniment", deadline=None, print_blob=True)
hypothesis.settings.load_profile("muniment")


@pytest.fixture(autouse=True)
def _foreign_tools(request: pytest.FixtureRequest) -> None:
    """A test marked `foreign("age")` skips without the tool, saying so, and fails without it in CI."""
    for marker in request.node.iter_markers("foreign"):
        for tool in marker.args:
            if shutil.which(tool) is None:
                if IN_CI:
                    pytest.fail(f"CI must have the foreign tool {tool!r}: see .ci/run")
                pytest.skip(f"the foreign tool {tool!r} is not installed (Debian: apt-get install {tool})")
