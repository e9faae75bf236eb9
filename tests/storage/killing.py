"""Start a writing child, kill it with SIGKILL at a random moment, return what it acknowledged."""

import random
import select
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_and_kill(rng: random.Random, *arguments: str) -> dict[str, str]:
    """Let the child acknowledge a few writes, kill it a random moment later; return name -> SHA-256 in hex."""
    command = [sys.executable, "-m", "tests.storage.child", *arguments]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    with child.stdout as out:
        try:
            lines = [out.readline() for _ in range(1 + rng.randrange(1, 40))]
            assert lines[0] == b"ready\n"
            assert lines[-1], "the child ended by itself"
            # A random part of the time between two acknowledgements: the pipe is left alone, so the child works on.
            select.select([], [], [], rng.random() * 0.01)
        finally:
            child.kill()
            rest = out.read()
            child.wait()
    text = b"".join(lines[1:]) + rest
    assert text.endswith(b"\n")
    return dict(line.split(" ") for line in text.decode().splitlines())
