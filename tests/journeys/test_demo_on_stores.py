"""The demonstration on the stores that outgrow one machine: an S3 server and one of MongoDB's wire protocol."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.servers import S3_SECRET, S3_USER, free_ports, mongo_server, running, s3_server


def test_the_whole_job_on_s3_and_mongodb(tmp_path: Path) -> None:
    """Deposit, three attacks on copies, opening by three of five; then the audit of what is stored there."""
    evidence = tmp_path / "evidence.txt"
    evidence.write_bytes(b"some evidence\n" * 1000)
    mongo, s3 = free_ports(2)
    folder = tmp_path / "dir"
    environ = {**os.environ, "MUNIMENT_S3_ACCESS_KEY": S3_USER, "MUNIMENT_S3_SECRET_KEY": S3_SECRET}
    urls = {
        "--records": f"mongodb://127.0.0.1:{mongo}/muniment?directConnection=true",
        "--blobs": f"s3+http://127.0.0.1:{s3}/evidence",
    }

    def muniment(*args: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "app.cli.main", *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=300, check=False)

    for name in ("mongo", "s3"):
        (tmp_path / name).mkdir()
    with running(mongo_server(tmp_path / "mongo", mongo)), running(s3_server(tmp_path / "s3", s3)):
        options = [each for pair in urls.items() for each in pair]
        done = muniment("demo", evidence, "--dir", folder, *options)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        summary = json.loads((folder / "summary.json").read_text())
        assert Path(summary["files"][0]["opened"]).read_bytes() == evidence.read_bytes()
        assert "[segment_mismatch]" in done.stdout
        assert "[replay_refused]" in done.stdout
        assert not (folder / "registry" / "records.sqlite").exists()
        assert not (folder / "registry" / "blobs").exists()
        audited = muniment("audit", "--dir", folder / "registry")
        assert audited.returncode == 0, audited.stdout + audited.stderr
