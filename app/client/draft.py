"""A draft of a decision: a judge's clerk prepares it, and the judge decides (decision 0170).

The file is an age file to the judge alone, since it may hold his reasons. In it stands a compact JWS of the clerk
(`typ` `muniment-draft+jws`) over `{"format":"muniment-draft/v1","origin","judge","request","decision","reason",
"made_at"}`, canonical JSON. It is no statement: no rule and no registry takes it, and it holds no contribution, no
secret and nothing that is made from one. What the judge signs is made anew on his machine, after he saw everything.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from app.canonical import b64u_decode, format_json, parse_json, take_str
from app.client.docket import Docket, check_document, document_hash
from app.client.judge import Judge, Words
from app.client.session import Client, State
from app.errors import BadInput, Mismatch, Refused
from app.fields import Int, Parsed, Text, read_record, write_record
from app.rules.aggregates import Devices, KeyHolder, Person
from app.rules.cases import case_of, principals
from app.rules.terms import request_of
from app.sealing.age import decrypt_bytes, encrypt_bytes
from app.sealing.hybrid import PqRecipient
from app.statements.keys import MemberId, jwk_of
from app.statements.kinds import Digest

TYP = "muniment-draft+jws"
MAX_REASON_BYTES = 32_768
MAX_FILE_BYTES = 262_144
_MAX_TEXT = 131_072


def _words(text: str, what: str) -> str:
    return take_str(text, what, min_bytes=1, max_bytes=MAX_REASON_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a clerk proposes to a judge. `reason` stands with a refusal alone: it becomes the reason of that."""

    format: Literal["muniment-draft/v1"] = "muniment-draft/v1"
    origin: Annotated[str, Text(256)]
    judge: Annotated[str, MemberId]
    request: Digest
    decision: Literal["grant", "refuse"]
    reason: Annotated[str, Parsed(_words)] | None
    made_at: Annotated[int, Int()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    alg: Literal["Ed25519"]
    kid: Annotated[str, MemberId]
    typ: Literal["muniment-draft+jws"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A draft that a judge may rely on for who wrote it; `by` is his clerk."""

    draft: Draft
    by: Person


def parse_draft(text: bytes) -> tuple[str, Draft]:
    """Read the JWS: (kid, draft), its signature unchecked. Raises BadInput (bad_draft, bad_json, bad_field, …)."""
    parts = text.decode("ascii", "replace").split(".")
    if len(text) > _MAX_TEXT or len(parts) != 3 or not text.isascii():
        raise BadInput("the draft is no compact JWS", "Take the file as the clerk wrote it.", code="bad_draft")
    raw = b64u_decode(parts[0], "the draft's header")
    header = read_record(_Header, parse_json(raw, what="the draft's header", max_bytes=1024, max_depth=2), "the header")
    payload = b64u_decode(parts[1], "the draft's payload")
    value = parse_json(payload, what="the draft", max_bytes=_MAX_TEXT, max_depth=2)
    b64u_decode(parts[2], "the draft's signature", 64)
    draft = read_record(Draft, value, "the draft")
    if draft.reason is not None and draft.decision != "refuse":
        raise BadInput("the draft gives a reason for a grant", "Have it made anew.", code="bad_draft")
    return header.kid, draft


def check_signature(text: bytes, key: bytes) -> None:
    """Check a parsed draft's signature with a 32-byte public key. Raises Mismatch (bad_signature)."""
    try:
        jws.deserialize_compact(text, OKPKey.import_key(dict(jwk_of(key))), algorithms=["Ed25519"])
    except (JoseError, ValueError) as error:
        raise Mismatch(
            "the draft is not as its signer wrote it", "Do not use it; ask your clerk.", code="bad_signature"
        ) from error


def unseal_draft(file: bytes, client: Client) -> bytes:
    """Open the age file. Raises Mismatch (not for this judge's keys, or altered)."""
    return decrypt_bytes(file, [client.keys.notes])


async def prepare(
    client: Client, request: bytes, judge: str, *, paper: bytes | None, reason: str | None
) -> tuple[bytes, Docket, Words]:
    """As a judge's clerk: everything that the judge will be shown, and the draft's file for him. Nothing is posted.

    With the court's `paper` a grant is proposed, which must be the order's; without, a refusal. Raises Refused
    (not_delegated, …) and as `examine` and `check_document`.
    """
    state = await client.sync()
    _check_clerk(state, request, clerk=state.me, judge=judge)
    docket, words = await Judge(client).docket(request, seat=judge)
    if paper is not None:
        check_document(docket, document_hash(paper))
    draft = Draft(
        origin=client.trust.origin,
        judge=judge,
        request=request,
        decision="refuse" if paper is None else "grant",
        reason=reason,
        made_at=client.clock(),
    )
    text = client.keys.signer.sign_text(TYP, format_json(write_record(draft))).encode()
    parse_draft(text)
    return (
        encrypt_bytes(text, [PqRecipient.parse(each) for each in _recipients(state, judge)], client.rng),
        docket,
        words,
    )


async def read(client: Client, file: bytes, request: bytes | None) -> Prepared:
    """As the judge: a draft for him, by a clerk who prepares for him now, of `request` if one is named.

    Raises Mismatch (not opened by his keys, bad_signature, other_request, other_judge, wrong_ledger), Refused
    (unknown_key, not_delegated, unknown_request), BadInput.
    """
    state = await client.sync()
    text = unseal_draft(file, client)
    kid, draft = parse_draft(text)
    if draft.origin != client.trust.origin:
        raise Mismatch(f"the draft is for the ledger {draft.origin}", "Do not use it.", code="wrong_ledger")
    if draft.judge != state.me.id:
        raise Mismatch("the draft was made for another judge", "Do not use it.", code="other_judge")
    if request is not None and draft.request != request:
        raise Mismatch(
            f"the draft is for the request {draft.request.hex()}, not {request.hex()}",
            "Have one made for this request.",
            code="other_request",
        )
    holder = state.view.find(KeyHolder, kid)
    clerk = state.view.find(Person, holder.member) if holder is not None and holder.member is not None else None
    if holder is None or holder.retired or clerk is None:
        raise Refused("the draft is signed by nobody whom you can see", "Do not use it.", code="unknown_key")
    check_signature(text, holder.key)
    _check_clerk(state, draft.request, clerk=clerk, judge=state.me.id)
    return Prepared(draft=draft, by=clerk)


def agree(prepared: Prepared, decision: str) -> None:
    """Whether the judge's own word is the draft's. Raises Refused (draft_differs)."""
    if prepared.draft.decision != decision:
        raise Refused(
            f"the draft says {prepared.draft.decision}, and you say {decision}",
            "Decide without the draft, or have another made.",
            code="draft_differs",
        )


def _check_clerk(state: State, request: bytes, *, clerk: Person, judge: str) -> None:
    case = case_of(state.view, request_of(state.view, request).case_id)
    if judge not in {each.id for each in principals(state.view, case, clerk, state.taken_at, "prepare")}:
        raise Refused(
            f"{clerk.name} does not prepare for that judge in the case {case.id}",
            "The judge delegates it: muniment case delegate CASE CLERK --scope prepare.",
            code="not_delegated",
        )


def _recipients(state: State, judge: str) -> tuple[str, ...]:
    person, devices = state.view.find(Person, judge), state.view.find(Devices, judge)
    own = () if person is None else (person.notes,)
    return (*own, *(each.notes for each in (devices.devices if devices is not None else ())))
