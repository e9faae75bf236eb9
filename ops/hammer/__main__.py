"""`python -m ops.hammer`: four writers, two replicas, random kill -9; exit code 0 when no promise was broken."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from ops.hammer.run import hammer


def main() -> int:
    """Run, print what was measured and what was broken."""
    parser = argparse.ArgumentParser(prog="python -m ops.hammer", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long the writers write (60)")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--every", type=float, default=3, help="seconds between kills, on average (3)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="of the killer")
    parser.add_argument("--dir", type=Path, help="an empty folder for the registry, kept; default: a temporary one")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="muniment-hammer-") as temporary:
        found = asyncio.run(
            hammer(
                args.dir or Path(temporary),
                seconds=args.seconds,
                writers=args.writers,
                replicas=args.replicas,
                every=args.every,
                seed=args.seed,
            )
        )
    print(
        f"{found.seconds:.1f} s, {args.writers} writers, {args.replicas} replicas, {found.kills} kills: "
        f"{found.entries} entries, {found.acknowledged} acknowledged ({found.acknowledged / found.seconds:.0f}/s), "
        f"{found.answered_again} of them at a second sending, {found.retries} retries, "
        f"longest wait {found.longest:.2f} s, {found.checkpoints} checkpoints seen"
    )
    for each in found.breaches:
        print(f"BROKEN: {each}")
    if found.audit:
        print(f"BROKEN: the audit: {found.audit}")
    if found.good:
        print("audit clean; every receipt verifies; nothing lost, doubled or reordered")
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
