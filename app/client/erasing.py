"""Erasure as people carry it out: a reader of the case lists what is on a deposit, a registrar asks, all can check.

The registrar sees nothing of the case. What he is handed is a file that names the deposit by a hash and its statements
by their ledger indices; the registry refuses one that names too few or too many.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from app.canonical import format_json, parse_json
from app.client.docket import document_hash
from app.client.problems import ServiceRefused
from app.client.session import Client, Receipt, State
from app.errors import Refused
from app.fields import Int, Many, read_record, write_record
from app.rules.aggregates import Erased, PendingAct, Trail
from app.rules.deposits import trail_id
from app.statements.kinds import Digest, Erase
from app.statements.statement import parse_leaf, parse_statement

ACT_VALID_SECONDS = 30 * 86_400
MAX_LIST_BYTES = 262_144

PROVES = (
    "that a registrar asked for this erasure, under the paper named, and that the authority approved it with m keys",
    "that from the entry named on this registry admits nothing more on the deposit: no request, no order, no opening",
    "that every client and every audit accepts that exactly these entries are missing, and no others; all others, and "
    "every proof of them, stand as before",
)
CLIENTS = (
    "at its next sync every client destroys what it keeps of the deposit: statements, the depositor's inventory and "
    "disclosures and what is left of an upload, a recipient's secret of a request and what he kept for a public "
    "opening, a judge's contribution that has not left",
)
DOES_NOT_PROVE = (
    "that the bytes are gone: it is the registry's word that it destroyed boxes, statements and notes, and nobody can "
    "prove the absence of a copy",
    "that every client has synced since, runs our software, or that a disk forgot what was overwritten on it",
)
COPIES = (
    "segments whose lock has not ended: they cannot be deleted by anybody before their term, and nobody opens them "
    "through this registry, which has no box of theirs any more",
    "backups, exports and replicas of the registry's stores from before: they have rules of their own",
    "the depositor's own files, and the disclosures, proofs and certificates that he handed out or keeps elsewhere",
    "whoever it was released to: the opened files, sealed files, a key or a public opening that he wrote to a file",
    "clients that have not synced since, their backups, and release records and exports that anybody wrote",
    "the order that named the deposit, with its words: it stays on the record, as do the leaves (time and digest) of "
    "the erased statements",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureList:
    """What is to be erased: the SHA-256 of the deposit's id, and the indices of the statements on it."""

    format: Literal["muniment-erasure/v1"] = "muniment-erasure/v1"
    deposit: Digest
    entries: Annotated[tuple[Annotated[int, Int()], ...], Many(least=1, most=4096)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What the ledger says of an erasure, and how many of its statements the registry says are gone."""

    deposit: bytes
    act: bytes
    act_index: int
    effective_index: int
    time: int
    reason: str
    document: bytes
    approvals: tuple[str, ...]
    entries: tuple[int, ...]
    gone: int
    checkpoint_size: int
    checkpoint_root: bytes


def format_list(listed: ErasureList) -> bytes:
    """The list as a canonical JSON text with a final newline."""
    return format_json(write_record(listed)).encode() + b"\n"


def parse_list(data: bytes) -> ErasureList:
    """Read a list. Raises BadInput."""
    value = parse_json(data.removesuffix(b"\n"), what="the list", max_bytes=MAX_LIST_BYTES, max_depth=2)
    return read_record(ErasureList, value, "the list")


async def list_entries(client: Client, deposit_id: bytes) -> ErasureList:
    """What is on a deposit, as far as this reader of its case sees. Raises Refused (unknown_deposit)."""
    state = await client.sync()
    trail = state.view.find(Trail, trail_id(deposit_id))
    if trail is None:
        raise Refused(
            f"there is no deposit {deposit_id.hex()}, or you may not read it", "Check the id.", code="unknown_deposit"
        )
    return ErasureList(deposit=bytes.fromhex(trail.id), entries=trail.entries)


async def ask(client: Client, listed: ErasureList, reason: str, paper: bytes) -> Receipt:
    """Ask for an erasure, as a registrar. `reason` is read by everybody. Raises Refused (entries_left_out, held, …)."""
    claims = Erase(deposit=listed.deposit, entries=listed.entries, reason=reason, document=document_hash(paper))
    return await client.post(claims, valid_seconds=ACT_VALID_SECONDS)


async def certify(client: Client, deposit: bytes) -> Certificate:
    """The certificate of an erasure that took effect, by the hash of the deposit's id; the registry is asked as well.

    Raises Refused (not_erased).
    """
    state = await client.sync()
    erased = state.view.find(Erased, deposit.hex())
    if erased is None:
        raise Refused(f"no deposit with the hash {deposit.hex()} was erased", "Check the hash.", code="not_erased")
    act = state.statement(erased.act)
    claims = act.claims
    assert isinstance(claims, Erase)  # noqa: S101 - the aggregate comes from a statement of this kind
    waiting = state.view.find(PendingAct, erased.act.hex())
    return Certificate(
        deposit=deposit,
        act=erased.act,
        act_index=state.indices[erased.act],
        effective_index=erased.index,
        time=erased.time,
        reason=claims.reason,
        document=claims.document,
        approvals=waiting.approvals if waiting is not None else (),
        entries=erased.entries,
        gone=await _gone(client, state, erased.entries),
        checkpoint_size=state.checkpoint.size,
        checkpoint_root=state.checkpoint.root,
    )


async def _gone(client: Client, state: State, entries: tuple[int, ...]) -> int:
    """How many of the statements the service says it has erased."""
    count = 0
    for index in entries:
        try:
            parse_statement(await client.api.statement(parse_leaf(state.leaves.texts[index]).digest))
        except ServiceRefused as error:
            count += error.status == 410
    return count
