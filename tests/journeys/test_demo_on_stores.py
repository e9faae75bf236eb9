"""The demonstration on the stores that outgrow one machine, served by two replicas of which one is killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.cluster import servers
from tests.servers import S3Kind, demand, demand_minio


def cluster(*args: object) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MUNIMENT_")}
    if "MUNIMENT_MINIO" in os.environ:
        environ["MUNIMENT_MINIO"] = os.environ["MUNIMENT_MINIO"]
    command = [sys.executable, "-m", "ops.cluster", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=540, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["seaweedfs", pytest.param("minio", marks=pytest.mark.minio)])
def test_the_whole_job_on_s3_and_mongodb_with_a_replica_killed_on_the_way(tmp_path: Path, kind: str) -> None:
    """Deposit over a killed replica, three attacks on copies, opening by three of five, the replica back, the audit."""
    demand(servers.MONGO)
    if kind == S3Kind.MINIO:
        demand_minio()
    else:
        demand(servers.WEED)
    evidence = tmp_path / "evidence.txt"
    evidence.write_bytes(b"some evidence\n" * 1000)
    folder = tmp_path / "dir"
    done = cluster("--dir", folder, "--s3", kind, evidence)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    summary = json.loads((folder / "demo" / "summary.json").read_text())
    assert Path(summary["files"][0]["opened"]).read_bytes() == evidence.read_bytes()
    first, second = summary["replicas"]
    assert summary["killed_replica"] == first
    assert f"the replica {first} was killed with SIGKILL; the deposit went on at {second}" in done.stdout
    assert f"{first} runs again; both show the ledger of size" in done.stdout
    assert "[segment_mismatch]" in done.stdout
    assert "[replay_refused]" in done.stdout
    assert "all is well" in done.stdout
    registry = folder / "demo" / "registry"
    assert not (registry / "records.sqlite").exists()
    assert not (registry / "blobs").exists()
    served = (registry / "service-2.log").read_text()
    assert "/v1/uploads/{deposit_id}/manifest" in served
    through = "PUT /v1/uploads/{deposit_id}/segments" in served
    assert through == (kind == S3Kind.MINIO), "straight to the store, where it holds clients to what was signed"
    people = json.loads((folder / "demo" / "people" / "lawyer-1" / "settings.json").read_text())
    assert people == {"service": [first, second]}
    keys = json.loads((folder / "stores" / "s3.json").read_text())
    assert keys["secret"] not in done.stdout + done.stderr

    again = cluster("--dir", folder, evidence)
    assert again.returncode == 2
    assert "name another folder" in again.stderr


def test_stores_of_an_earlier_run_are_not_invented(tmp_path: Path) -> None:
    done = cluster("--dir", tmp_path / "none", "--stores-only")
    assert done.returncode == 2
    assert not (tmp_path / "none").exists()
