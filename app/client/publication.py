"""Public openings on the recipient's machine: what is kept for one, making it, and writing a file of it for others.

When the evidence is opened, the secret of the recipient key is destroyed; what a public opening needs is made before
that and kept, encrypted: 96 bytes, the indices of the contributions, and the box. They open this one deposit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from app.canonical import format_json, parse_json
from app.client.docket import checked_manifest, document_hash, release_of
from app.client.home import Vault
from app.client.lock import only_one
from app.client.proof import proven, signers_of
from app.client.readers import case_recipients
from app.client.session import Client, Receipt, State
from app.client.visit import panel_of, record_of_epoch
from app.errors import Refused
from app.fields import B64, Int, Many, read_record, write_record
from app.panels.hashing import H32
from app.panels.making.opening import make_opening
from app.panels.opening import Verdict, verify_opening
from app.panels.request import Release
from app.rules.aggregates import Request
from app.rules.deposits import deposit_of
from app.rules.publications import publication_of
from app.rules.terms import request_of
from app.rules.view import WholeView
from app.sealing.header import Rng
from app.statements.kinds import (
    Approval,
    Digest,
    Genesis,
    PanelAck,
    PanelBlame,
    PanelCard,
    PanelClose,
    PanelDeal,
    PanelOpen,
    PanelPropose,
    PanelRoster,
    ReleaseContribution,
    ReleasePermit,
    ReleasePublish,
    is_public,
)
from app.statements.publicationfile import MAX_INVENTORY_BYTES, PublicationFile, format_publication_file
from app.statements.statement import Statement, parse_statement
from app.statements.trust import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Openable:
    """What a public opening is made of."""

    request: Digest
    indices: Annotated[tuple[Annotated[int, Int(1, 255)], ...], Many(least=2, most=255)]
    opening: Annotated[bytes, B64(96)] = field(repr=False)
    box: Annotated[bytes, B64(48)]


class OpenableVault:
    """What is kept for public openings."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def put(self, made: Openable) -> None:
        """Keep; durable on return."""
        self._vault.put("secrets", _name(made.request), format_json(write_record(made)).encode())

    def get(self, request: bytes) -> Openable | None:
        """What is kept for a request."""
        data = self._vault.get("secrets", _name(request))
        if data is None:
            return None
        return read_record(Openable, parse_json(data, what="a kept opening", max_bytes=65_536), "a kept opening")

    def destroy(self, request: bytes) -> None:
        """Destroy it."""
        self._vault.delete("secrets", _name(request))


def remember(
    vault: Vault, release: Release, request: bytes, contributions: Sequence[bytes], *, sk: bytes, box: bytes, rng: Rng
) -> None:
    """Make and keep what a public opening needs, unless it is kept: before the recipient's secret is destroyed."""
    kept = OpenableVault(vault)
    if kept.get(request) is None:
        made = make_opening(release, contributions, sk=sk, rnd=rng(32))
        indices = tuple(int.from_bytes(each[:2], "big") for each in contributions)
        kept.put(Openable(request=request, indices=indices, opening=made, box=box))


async def permit(client: Client, request: bytes, paper: bytes, words: str | None = None) -> Receipt:
    """Let the recipient of a request open in public, under the court's paper. Raises Refused (not_presiding, …)."""
    state = await client.sync()
    asked = request_of(state.view, request)
    note = None
    if words is not None:
        note = await client.put_note(words, (), case_recipients(state.view, asked.case_id, state.taken_at))
    return await client.post(ReleasePermit(request=request, document=document_hash(paper), note=note))


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishable:
    """A public opening that would be admitted: what it shows, and whether it is on the ledger already."""

    verdict: Verdict
    done: bool


async def look(client: Client, request: bytes) -> Publishable:
    """Check everything that a public opening rests on, and send nothing.

    Raises Refused (not_a_recipient, nothing_kept, not_permitted, unknown_request), PanelError.
    """
    state = await client.sync()
    return _checked(client, state, request)[0]


async def publish(client: Client, request: bytes) -> Receipt:
    """Open in public. What was kept for it is destroyed when it is on the ledger. Raises as `look`, and as `post`."""
    with only_one(client.home.path):
        state = await client.sync()
        found, kept = _checked(client, state, request)
        if found.done or kept is None:
            OpenableVault(client.vault).destroy(request)
            raise Refused(
                f"the request {request.hex()} was opened in public before",
                "Write a file of it with --export.",
                code="opening_known",
            )
        claims = ReleasePublish(request=request, indices=kept.indices, opening=kept.opening, box=kept.box)
        receipt = await client.post(claims)
        await client.confirm(receipt)
        OpenableVault(client.vault).destroy(request)
        return receipt


def forget(client: Client, request: bytes) -> None:
    """Destroy what is kept for a public opening: after that none can be made."""
    with only_one(client.home.path):
        OpenableVault(client.vault).destroy(request)


async def export(client: Client, request: bytes, trust: Trust) -> bytes:
    """Write the publication file of a request that was opened in public, for the holders of `trust`.

    The inventory is fetched where it may be had. Raises Refused (not_published, …), BadInput (not_in_policy).
    """
    state = await client.sync()
    asked = request_of(state.view, request)
    published = publication_of(state.view, asked)
    if published.statement is None:
        raise Refused(
            f"the request {request.hex()} was not opened in public", "Publish it first.", code="not_published"
        )
    served = await client.api.deposit(asked.deposit_id)
    sealed = served.manifest, await _inventory(client, asked, served.manifest)
    return _file(state, asked, published.statement, sealed, trust)


class _Part:
    """A segment in memory: `begin` is called again when a try begins anew."""

    def __init__(self) -> None:
        self.data = bytearray()

    def begin(self) -> None:
        self.data.clear()

    async def take(self, piece: bytearray) -> None:
        self.data += piece


async def _inventory(client: Client, asked: Request, manifest: str) -> bytes | None:
    assert client.state is not None  # noqa: S101 - synced by the caller
    item = checked_manifest(deposit_of(client.state.view, asked.deposit_id), manifest).items[0]
    if asked.recipient != client.state.me.id or item.length > MAX_INVENTORY_BYTES:
        return None
    parts = []
    for index in range(len(item.segments)):
        part = _Part()
        await client.api.segment_into(asked.deposit_id, 0, index, part)
        parts.append(bytes(part.data))
    return b"".join(parts)


def _file(state: State, asked: Request, published: bytes, sealed: tuple[str, bytes | None], trust: Trust) -> bytes:
    deposit = deposit_of(state.view, asked.deposit_id)
    at = {
        name: state.indices[digest]
        for name, digest in (
            ("deposit", deposit.digest),
            ("request", bytes.fromhex(asked.id)),
            ("publication", published),
        )
    }
    claims = state.statement(published).claims
    assert isinstance(claims, ReleasePublish)  # noqa: S101 - the aggregate comes from a statement of this kind
    contributions = _contributions(state, bytes.fromhex(asked.id))
    founding = set(founding_of(state, asked.panel_id))
    for index in at.values():
        founding.update(signers_of(state, parse_statement(state.entries[index].statement), index))
    return format_publication_file(
        PublicationFile(
            founding=tuple(proven(state, index, trust) for index in sorted(founding)),
            deposit=proven(state, at["deposit"], trust),
            request=proven(state, at["request"], trust),
            contributions=tuple(proven(state, contributions[index], trust) for index in claims.indices),
            publication=proven(state, at["publication"], trust),
            manifest=sealed[0],
            inventory=sealed[1],
        )
    )


def _contributions(state: State, request: bytes) -> dict[int, int]:
    """Judge's index → ledger index, of the contributions to a request."""
    found = {}
    for index, entry in state.entries.items():
        claims = parse_statement(entry.statement).claims
        if isinstance(claims, ReleaseContribution) and claims.request == request:
            found[int.from_bytes(claims.contribution[:2], "big")] = index
    return found


def founding_of(state: State, panel_id: bytes) -> Iterator[int]:
    """The public statements that make offices and this panel: members, its ceremonies, and approvals of any of them."""
    acts: set[bytes] = set()
    sessions: set[bytes] = set()
    for index, entry in sorted(state.entries.items()):
        statement = parse_statement(entry.statement)
        if not is_public(statement.kind, statement.claims):
            continue
        if isinstance(statement.claims, Approval):
            chosen = statement.claims.act in acts
        else:
            chosen = isinstance(statement.claims, Genesis) or statement.kind.startswith("member.")
            chosen = chosen or _of_panel(statement, panel_id, sessions)
        if chosen:
            acts.add(statement.digest)
            yield index


def _of_panel(statement: Statement, panel_id: bytes, sessions: set[bytes]) -> bool:
    claims = statement.claims
    if isinstance(claims, PanelPropose | PanelRoster):
        return claims.panel_id == panel_id
    if isinstance(claims, PanelCard):
        return claims.card[2:34] == panel_id
    if isinstance(claims, PanelOpen):
        if claims.header[3:35] == panel_id:
            sessions.add(H32("session", claims.header))
            return True
        return False
    if isinstance(claims, PanelDeal):
        return claims.deal[4:36] in sessions
    if isinstance(claims, PanelAck):
        return claims.ack[4:36] in sessions
    if isinstance(claims, PanelBlame):
        return claims.blame[6:38] in sessions
    return isinstance(claims, PanelClose) and claims.session in sessions


def _checked(client: Client, state: State, request: bytes) -> tuple[Publishable, Openable | None]:
    view: WholeView = state.view
    asked = request_of(view, request)
    if asked.recipient != state.me.id:
        raise Refused(f"the request {request.hex()} is of another member", "Name yours.", code="not_a_recipient")
    known = publication_of(view, asked)
    if known.verdict is not None:
        return Publishable(verdict=Verdict(known.verdict), done=True), None
    kept = OpenableVault(client.vault).get(request)
    if kept is None:
        raise Refused(
            "nothing is kept here from which this request could be opened in public",
            "Open it first, in the home in which you asked: muniment open.",
            code="nothing_kept",
        )
    record = record_of_epoch(view, panel_of(view, asked.panel_id), asked.epoch_id)
    release = release_of(record, asked, deposit_of(view, asked.deposit_id))
    recorded = dict(asked.state.contributions)
    opened = verify_opening(release, [recorded[each] for each in kept.indices], kept.opening, kept.box)
    if opened.verdict is Verdict.FILE_KEY and known.document is None:
        raise Refused(
            "nobody permitted a public opening of this request, and it would show the key of the deposit",
            "Ask the presiding judge: muniment publish REQUEST --permit.",
            code="not_permitted",
        )
    return Publishable(verdict=opened.verdict, done=False), kept


def _name(request: bytes) -> str:
    return f"opening-{request.hex()}"
