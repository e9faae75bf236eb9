"""Those outside the registry who vouch for time, on loopback and in this process.

Two time-stamp authorities under a certification authority with OCSP and revocation lists, an OpenTimestamps calendar,
and a chain with sources of its headers. They end with the demonstration. The trust file names them all, so what they
vouched for stays verifiable; the chain's work is next to none, which is why the trust file must name its floor.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from app.client.session import Client
from app.demo.calendar import LoopbackCalendar, serving_calendar
from app.demo.pki import LoopbackPki, serving_pki
from app.statements.trust_seal import SealTrust, seal_json
from app.statements.trust_time import TsaTrust, headers_json, make_authority, tsa_json

BLOCK_SECONDS = 0.5
ROUND_SECONDS, UPGRADE_SECONDS = 3, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The authorities and the calendar, as long as they run."""

    pki: LoopbackPki
    calendar: LoopbackCalendar

    def tsa(self) -> dict[str, object]:
        """What a trust file says of the time-stamp authorities: both must vouch."""
        authorities = tuple(make_authority(each.name, [self.pki.root_der], each.name) for each in self.pki.tsas)
        return tsa_json(TsaTrust(m=len(authorities), authorities=authorities))

    def seal(self) -> dict[str, object]:
        """What it says of the seals on certificates."""
        return seal_json(SealTrust(roots=(self.pki.root,)))

    def write_office(self, folder: Path, trust: str) -> Path:
        """Write the issuing office's file with a seal of its own beside it; return its path."""
        seal = self.pki.issue("Seal of the Demonstration Registry")
        keys = folder / "keys"
        keys.mkdir(mode=0o700, exist_ok=True)
        (keys / "seal.pem").touch(mode=0o600)
        (keys / "seal.pem").write_bytes(seal.key_pem())
        (keys / "seal-chain.pem").write_bytes(seal.certificates_pem())
        (folder / "office-trust.json").write_text(trust + "\n", encoding="utf-8")
        lines = [
            "# Who issues certificates. In this demonstration the seal is worth nothing.",
            'name = "Registry of the Demonstration 演示登记处"',
            'responsible = "The Registrar"',
            'contact = "registry@demonstration.example"',
            'verify = "https://demonstration.example/verify"',
            'operator = "whoever ran the demonstration"',
            'conflicts = "all: one person plays everybody"',
            "zone_minutes = 0",
            'trust = "office-trust.json"',
            'seal_key = "keys/seal.pem"',
            'seal_certificates = "keys/seal-chain.pem"',
            f"tsa = [{', '.join(_quoted(each.url) for each in self.pki.tsas)}]",
            "",
        ]
        path = folder / "office.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    def headers(self) -> dict[str, object]:
        """What it says of the chain: the checkpoint, its rules, and the headers up to now."""
        return headers_json(self.calendar.chain.checkpoint, self.calendar.chain.raw)

    def write_anchors(self, folder: Path) -> Path:
        """Write the registry's `anchors.toml` with the root certificate beside it; return its path."""
        (folder / "tsa-root.pem").write_bytes(self.pki.root.public_bytes(Encoding.PEM))
        rules, checkpoint = self.calendar.chain.checkpoint.rules, self.calendar.chain.checkpoint
        lines = [
            "# Who vouches for this registry's time. In this demonstration they lived only as long as it ran.",
            f"every_seconds = {ROUND_SECONDS}",
            f"upgrade_seconds = {UPGRADE_SECONDS}",
            f"header_sources = [{', '.join(_quoted(each) for each in self.calendar.sources)}]",
        ]
        for tsa in self.pki.tsas:
            lines += ["", "[[tsa]]", f"name = {_quoted(tsa.name)}", f"url = {_quoted(tsa.url)}"]
            lines += ['roots = ["tsa-root.pem"]', f"subject = {_quoted(tsa.name)}"]
        lines += ["", "[[calendar]]", f"url = {_quoted(self.calendar.uri)}", "", "[bitcoin]"]
        lines += [f"height = {checkpoint.height}", f"hash = {_quoted(checkpoint.hash[::-1].hex())}"]
        lines += [f"limit = {_quoted(f'{rules.limit:08x}')}", f"floor = {_quoted(f'{rules.floor:08x}')}"]
        lines += [f"retarget = {str(rules.retarget).lower()}", ""]
        path = folder / "anchors.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path


@asynccontextmanager
async def serving_outside() -> AsyncIterator[Outside]:
    """Serve all of them until the block ends; whatever is submitted to the calendar gets its block."""
    async with serving_pki(names="Demonstration") as pki, serving_calendar() as calendar:
        mining = asyncio.create_task(_mine(calendar), name="blocks")
        try:
            yield Outside(pki=pki, calendar=calendar)
        finally:
            mining.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await mining


async def all_anchored(client: Client) -> None:
    """Return when everything on the ledger is anchored, so that nothing more is entered by itself."""
    while True:
        state, status = await client.sync(), await client.api.anchoring()
        last = max(index for index, leaf in enumerate(state.leaves.parsed) if leaf.kind != "anchor")
        if status["open"] == 0 and status["size"] > last:
            return
        await asyncio.sleep(0.5)


async def _mine(calendar: LoopbackCalendar) -> None:
    while True:
        calendar.confirm()
        await asyncio.sleep(BLOCK_SECONDS)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
