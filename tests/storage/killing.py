"""Start a writing child, kill it with SIGKILL at a random moment, return what it acknowledged."""

import random
import select
import subprocess
import sys
from pathlib import Path

CHILD = Path(__file__).with_name("child.py")


def run_and_kill(rng: random.Random, *arguments: str) -> dict[str, str]:
    """Let the child acknowledge a few writes, kill it a random moment later; return name -> SHA-256 in hex."""
    child = subprocess.Popen([sys.executable, str(CHILD), *arguments], stdout=subprocess.PIPE, cwd=CHILD.parents[2])
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
