"""Write a software bill of materials in CycloneDX 1.6 (JSON): every package that Muniment needs at run time.

It is made from `ops/runtime.lock`, `docs/dependencies.md` and `pyproject.toml` alone, so it is the same on every
machine, needs no network and no installed package. A package for building has the scope `excluded`. Where
SOURCE_DATE_EPOCH is set, the list bears that time; without it, none.
"""

import argparse
import json
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.dependencies import ROOT, Package, Pin, Unreadable, packages, project, read_lock

# Any fixed value will do: the serial number is a name under it (RFC 9562, section 5.5).
_NAMESPACE = uuid.UUID("6f1d3c52-5f0b-4c0e-9c11-6d756e696d65")


def bill(
    lock: dict[str, Pin], needed: dict[str, Package], building: dict[str, Package], *, epoch: str
) -> dict[str, Any]:
    """The document. `epoch` is Unix seconds in decimal, or empty. Raises `Unreadable` where lock and page differ."""
    rows = {**needed, **building}
    if set(rows) != set(lock):
        raise Unreadable(f"not in both, ops/runtime.lock and docs/dependencies.md: {sorted(set(rows) ^ set(lock))}")
    ours = project()
    root = f"muniment@{ours['version']}"
    metadata: dict[str, Any] = {
        "lifecycles": [{"phase": "pre-build"}],
        "tools": {"components": [{"type": "application", "name": "muniment ops/sbom.py", "version": ours["version"]}]},
        "component": {
            "type": "application",
            "bom-ref": root,
            "name": "muniment",
            "version": ours["version"],
            "description": ours["description"],
            "licenses": _licences(ours["license"]),
        },
    }
    if epoch:
        if not epoch.isascii() or not epoch.isdigit():
            raise Unreadable(f"SOURCE_DATE_EPOCH is not a number of seconds: {epoch!r}")
        metadata["timestamp"] = datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": [
            _component(lock[name], rows[name].licence, "required" if name in needed else "excluded")
            for name in sorted(rows)
        ],
        # What builds the wheel is not needed by what was built: it hangs under nothing but what builds.
        "dependencies": [
            {"ref": root, "dependsOn": _refs(lock, [row for row in needed.values() if "muniment" in row.needed_by])},
            *(
                {"ref": _purl(lock[name]), "dependsOn": _refs(lock, [r for r in rows.values() if name in r.needed_by])}
                for name in sorted(rows)
            ),
        ],
    }
    serial = uuid.uuid5(_NAMESPACE, json.dumps(document, sort_keys=True))
    return {**document, "serialNumber": f"urn:uuid:{serial}"}


def _component(pin: Pin, licence: str, scope: str) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _purl(pin),
        "name": pin.name,
        "version": pin.version,
        "scope": scope,
        "licenses": _licences(licence),
        "purl": _purl(pin),
        # The digests are of the files of this release for all systems, of which one is installed: so they belong to
        # the place they come from. `hashes` of the component would claim that each is the digest of the same bytes.
        "externalReferences": [
            {
                "type": "distribution",
                "url": f"https://pypi.org/project/{pin.name}/{pin.version}/",
                "comment": "SHA-256 of every file that ops/runtime.lock lets in",
                "hashes": [{"alg": "SHA-256", "content": each} for each in pin.digests],
            }
        ],
    }
    if pin.marker:
        component["properties"] = [{"name": "muniment:marker", "value": pin.marker}]
    return component


def _licences(expression: str) -> list[dict[str, Any]]:
    if " " in expression:
        return [{"expression": expression}]
    return [{"license": {"id": expression}}]


def _purl(pin: Pin) -> str:
    return f"pkg:pypi/{pin.name}@{pin.version}"


def _refs(lock: dict[str, Pin], rows: list[Package]) -> list[str]:
    return sorted(_purl(lock[row.name]) for row in rows)


def main() -> int:
    """Write the list; 0 when it is written, 1 when lock and page do not agree."""
    parser = argparse.ArgumentParser(prog="python -m ops.sbom", description=__doc__)
    parser.add_argument("out", metavar="FILE", type=Path, help="where to write it; `-` for standard output")
    out: Path = parser.parse_args().out
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    try:
        document = bill(
            read_lock((ROOT / "ops" / "runtime.lock").read_text(encoding="utf-8")),
            packages(page, "At run time"),
            packages(page, "For building"),
            epoch=os.environ.get("SOURCE_DATE_EPOCH", ""),
        )
    except Unreadable as error:
        print(f"no bill of materials: {error}", file=sys.stderr)
        return 1
    data = (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()
    if str(out) == "-":
        sys.stdout.buffer.write(data)
        return 0
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(data)
    scopes = [each["scope"] for each in document["components"]]
    count = f"{scopes.count('required')} packages at run time, {scopes.count('excluded')} for building"
    print(f"{out}: CycloneDX 1.6, {count}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
