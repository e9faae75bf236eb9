"""What is wrong with a parsed Compose file, as a list of faults: form by a strict schema, and that its names fit."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema

HERE = Path(__file__).parent
SCHEMA = json.loads((HERE / "compose_schema.json").read_text())
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+([.-]\d+)+(-[a-z]+)?")
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z0-9_]+)(:\?[^}]+)?\}")


def faults(file: dict[str, Any], *, ops: Path) -> list[str]:
    """Return every fault of `file`, which lies in the folder `ops`; [] for none."""
    wrong = jsonschema.Draft202012Validator(SCHEMA).iter_errors(file)
    found = [f"form: {'/'.join(map(str, error.absolute_path))}: {error.message}" for error in wrong]
    return found or [*_images(file, ops), *_names(file), *_dependencies(file), *_files(file, ops), *_variables(file)]


def networks_of(service: dict[str, Any]) -> dict[str, list[str]]:
    """Return the networks of a service, each with the aliases that it has there."""
    networks = service["networks"]
    if isinstance(networks, list):
        return {name: [] for name in networks}
    return {name: each["aliases"] for name, each in networks.items()}


def variables(file: dict[str, Any]) -> set[str]:
    """Return the variables that the file asks for."""
    return {name for name, _ in VARIABLE.findall(json.dumps(file))}


def _images(file: dict[str, Any], ops: Path) -> list[str]:
    found = []
    for name, service in file["services"].items():
        if not PINNED.fullmatch(service["image"]):
            found.append(f"{name}: the image {service['image']} is not pinned by its version")
        if "build" in service:
            dockerfile = ops / service["build"]["context"] / service["build"]["dockerfile"]
            if not dockerfile.exists():
                found.append(f"{name}: there is no {dockerfile}")
                continue
            bases = re.findall(r"^FROM (\S+)", dockerfile.read_text(), re.MULTILINE)
            found += [f"{dockerfile}: {base} is not pinned" for base in bases if not PINNED.fullmatch(base)]
    return found


def _names(file: dict[str, Any]) -> list[str]:
    services = file["services"].values()
    used = {
        "networks": {name for each in services for name in networks_of(each)},
        "configs": {config["source"] for each in services for config in each.get("configs", [])},
        "secrets": {secret for each in services for secret in each.get("secrets", [])},
        "volumes": {
            volume.split(":")[0] for each in services for volume in each.get("volumes", []) if volume[0] not in "$./"
        },
    }
    found = []
    for kind, names in used.items():
        there = set(file.get(kind, {}))
        found += [f"{kind}: {name} is used and not declared" for name in sorted(names - there)]
        found += [f"{kind}: {name} is declared and not used" for name in sorted(there - names)]
    return found


def _dependencies(file: dict[str, Any]) -> list[str]:
    found, services = [], file["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            target = services.get(other)
            if target is None:
                found.append(f"{name}: depends on {other}, which is not there")
            elif how["condition"] == "service_healthy" and "healthcheck" not in target:
                found.append(f"{name}: waits for the health of {other}, which has no check")
            elif how["condition"] == "service_completed_successfully" and target["restart"] != "no":
                found.append(f"{name}: waits for the end of {other}, which is started again")
            elif "profiles" in target and how.get("required", True):
                found.append(f"{name}: needs {other}, which only some profiles have")
    return found


def _files(file: dict[str, Any], ops: Path) -> list[str]:
    paths = [each["file"] for each in file.get("configs", {}).values()]
    return [f"configs: there is no {path}" for path in paths if not (ops / path).is_file()]


def _variables(file: dict[str, Any]) -> list[str]:
    named = VARIABLE.findall(json.dumps(file))
    return [f"variables: {name} may be empty: write ${{{name}:?…}}" for name, demanded in named if not demanded]
