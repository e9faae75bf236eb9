"""Start a MongoDB stand-in and an S3 server in DIR, and play the demonstration on them with two replicas.

One replica is killed in the middle of the deposit. Everything lies in DIR: `stores/` (both servers' data, and the keys
of this S3 server in `s3.json`), `demo/` (what `muniment demo` makes there). Afterwards the stores are audited.
"""

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.cluster.servers import NotInstalled, S3Kind, free_ports, mongo_server, running, s3_server

DATABASE, BUCKET = "muniment", "evidence"


def main() -> int:
    """Play, or run the stores of an earlier play; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.cluster", description=__doc__)
    parser.add_argument("files", metavar="FILE", type=Path, nargs="*", help="evidence to deposit")
    parser.add_argument("--dir", type=Path, required=True, metavar="DIR", help="a new folder for everything")
    parser.add_argument("--judges", default="5", metavar="N")
    parser.add_argument("--threshold", default="3", metavar="K")
    parser.add_argument("--replicas", default="2", metavar="N", help="how many processes serve the registry (2)")
    parser.add_argument(
        "--s3",
        type=S3Kind,
        choices=list(S3Kind),
        default=S3Kind.SEAWEEDFS,
        help="the S3 server: seaweedfs, or minio where ops/minio-from-source has built it (seaweedfs)",
    )
    parser.add_argument("--stores-only", action="store_true", help="start the stores of an earlier run, until Ctrl-C")
    args = parser.parse_args()
    folder: Path = args.dir.absolute()
    stores = folder / "stores"
    if args.stores_only != (stores / "s3.json").exists() or (stores.exists() and not args.stores_only):
        wrong = "has no stores of an earlier run" if args.stores_only else "has the stores of an earlier run"
        print(f"{folder} {wrong}: name another folder. Nothing was changed.", file=sys.stderr)
        return 2
    try:
        with _stores(stores, args.s3) as (urls, environ):
            if args.stores_only:
                print("The stores run. In other terminals, with these variables:")
                print("".join(f"  export {name}={value}\n" for name, value in environ.items()), end="", flush=True)
                signal.sigwait({signal.SIGINT, signal.SIGTERM})
                return 0
            options = ["--judges", args.judges, "--threshold", args.threshold, "--replicas", args.replicas]
            options += [each for name, url in urls.items() for each in (f"--{name}", url)]
            played = _muniment(environ, "demo", *map(str, args.files), "--dir", str(folder / "demo"), *options)
            if played:
                return played
            print("\nThe audit, of what is really in these stores:", flush=True)
            return _muniment(environ, "audit", "--dir", str(folder / "demo" / "registry"))
    except NotInstalled as error:
        print(error, file=sys.stderr)
        return 1


@contextmanager
def _stores(folder: Path, kind: S3Kind) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Run both servers until the block ends; yield their URLs, and the variables with the S3 server's keys.

    `kind` is that of new stores; those of an earlier run say themselves of what kind they are.
    """
    file = folder / "s3.json"
    if not file.exists():
        for each in (folder / "mongo", folder / "s3"):
            each.mkdir(parents=True, mode=0o700)
        mongo, s3 = free_ports(2)
        file.touch(mode=0o600)
        keys = {"user": "demo", "secret": secrets.token_urlsafe(24)}
        file.write_text(json.dumps({**keys, "mongo": mongo, "s3": s3, "kind": kind}))
    kept = json.loads(file.read_text())
    urls = {
        "records": f"mongodb://127.0.0.1:{kept['mongo']}/{DATABASE}?directConnection=true",
        "blobs": f"s3+http://127.0.0.1:{kept['s3']}/{BUCKET}",
    }
    environ = {"MUNIMENT_S3_ACCESS_KEY": kept["user"], "MUNIMENT_S3_SECRET_KEY": kept["secret"]}
    with (
        running(mongo_server(folder / "mongo", kept["mongo"])),
        running(s3_server(folder / "s3", kept["s3"], kept["user"], kept["secret"], S3Kind(kept["kind"]))),
    ):
        yield urls, environ


def _muniment(environ: dict[str, str], *args: str) -> int:
    command = [sys.executable, "-m", "app.cli.main", *args]
    return subprocess.run(command, env={**os.environ, **environ}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
