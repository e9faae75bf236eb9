"""The anchors of a proof file: each judged under the verifier's trust file, and what they say of the deposit's time.

For each anchor, in ledger order:
 a its statement is an `anchor` of this ledger, placed as every entry is, signed by the service key of the genesis
 b the bytes have the SHA-256 that it names
 c the stamped checkpoint carries the log's line alone, and is the one that the statement names as `seen`
 d an anchor that covers the deposit shows the path from its leaf to that checkpoint; one without a path stood on the
   ledger before the deposit
 e the token or proof holds over exactly that checkpoint (`ledger.anchors`)
 f the times agree: no token older than what it covers, no leaf outside the bracket (SLACK for clocks that differ)

A bad anchor makes the proof "does not match", never a lower level. A token of an authority that the trust file does not
name cannot be judged ("cannot tell"); whoever makes a proof leaves those out.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.errors import CannotTell, Mismatch
from app.statements.kinds import Anchor, Genesis
from app.statements.proofanchor import ProofAnchor
from app.statements.prooffile import Proven
from app.statements.statement import Leaf, Statement, parse_statement, verify_signature
from app.statements.trust import Trust
from ledger.anchors.errors import BadAnchor, UnknownAuthority
from ledger.anchors.headers import TIME_SLACK, Chain, Confirmed, Place, locate
from ledger.anchors.ots import parse_complete
from ledger.anchors.stamped import parse_stamped
from ledger.anchors.tsa import Token, verify_token
from ledger.merkle import leaf_hash, verify_inclusion
from ledger.proof import VerifiedProof

SLACK = 300
"""Seconds by which the registry's clock and another's may differ."""
_TAMPERED = "Ask the depositor or the registry for the original proof; keep this one."
_REGISTRY = "Keep this; tell the authority and the witnesses."


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One anchor that holds. Times are Unix seconds."""

    index: int
    """Of its statement."""
    size: int
    """Of the stamped checkpoint."""
    covers: bool
    """True when the deposit is in that checkpoint; False when the anchor was there before the deposit."""
    earliest: int
    """What is vouched for is that it was not made before."""
    latest: int
    """And not after."""
    token: Token | None = None
    block: Confirmed | None = None

    @property
    def by(self) -> str:
        """Who vouches."""
        if self.token is not None:
            return self.token.authority
        return f"Bitcoin block {self.block.height}" if self.block is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the checks of one proof file share."""

    trust: Trust
    chain: Chain | None
    """The verifier's headers: those of the trust file, or of a longer bundle of his own."""
    genesis: Genesis
    index: int
    """Of the deposit."""
    leaf: Leaf
    leaf_text: str
    place: Callable[[Proven, str, Statement], tuple[VerifiedProof, Leaf]]
    """The checks of a place that deposit and signers pass too."""
    note_root: Callable[[int, bytes], None]
    """Compares a root with the others of its size in the file."""


def judge(anchors: Sequence[ProofAnchor], context: Context) -> tuple[Judged, ...]:
    """Judge all anchors. Raises Mismatch, CannotTell, BadInput, LedgerError."""
    found: list[Judged] = []
    for number, each in enumerate(anchors):
        what = f"anchor {number}"
        judged = _one(each, what, context)
        if found and judged.index <= found[-1].index:
            raise Mismatch(f"{what} is not in ledger order", _TAMPERED, code="out_of_order")
        found.append(judged)
    return tuple(found)


def _one(anchor: ProofAnchor, what: str, context: Context) -> Judged:
    trust = context.trust
    statement = parse_statement(anchor.statement)  # a
    claims = statement.claims
    if not isinstance(claims, Anchor) or statement.envelope.aud != trust.origin:
        raise Mismatch(f"{what}: its statement is no anchor of {trust.origin}", _TAMPERED, code="not_an_anchor")
    proven = Proven(statement=anchor.statement, leaf=anchor.leaf, tlog_proof=anchor.tlog_proof)
    place, leaf = context.place(proven, what, statement)
    verify_signature(statement, context.genesis.service)
    if not statement.envelope.iat - SLACK <= leaf.time < statement.envelope.exp:
        raise Mismatch(f"{what}: its statement was not valid at {leaf.time}", _REGISTRY, code="bad_validity")
    if hashlib.sha256(anchor.anchor).digest() != claims.anchor:  # b
        raise Mismatch(
            f"{what}: its bytes are not those that the statement names, {claims.anchor.hex()}",
            _TAMPERED,
            code="anchor_mismatch",
        )
    checkpoint = parse_stamped(anchor.checkpoint, [log.key for log in trust.policy.logs])  # c
    seen = statement.envelope.seen
    if (checkpoint.size, checkpoint.root) != (seen.size, seen.root):
        raise Mismatch(f"{what}: another checkpoint was stamped than it names", _TAMPERED, code="anchor_mismatch")
    if checkpoint.size > place.index:
        raise Mismatch(f"{what}: it stands inside what it is said to be over", _REGISTRY, code="out_of_order")
    context.note_root(checkpoint.size, checkpoint.root)
    covers = anchor.path is not None
    if anchor.path is not None:  # d
        verify_inclusion(
            context.index, checkpoint.size, leaf_hash(context.leaf_text.encode()), anchor.path, checkpoint.root
        )
    elif place.index >= context.index:
        raise Mismatch(f"{what}: it shows no path, and stood not before the deposit", _TAMPERED, code="bad_proof")
    stamped = anchor.checkpoint.encode()
    token = block = None
    if claims.form == "rfc3161":  # e
        if anchor.headers is not None:
            raise Mismatch(f"{what}: a time-stamp token has no block headers", _TAMPERED, code="anchor_form")
        token = _token(anchor.anchor, stamped, what, trust)
        earliest, latest = token.earliest, token.latest
    else:
        block = _block(anchor, stamped, what, context)
        earliest, latest = block.time - TIME_SLACK, block.latest
    judged = Judged(
        index=place.index,
        size=checkpoint.size,
        covers=covers,
        earliest=earliest,
        latest=latest,
        token=token,
        block=block,
    )
    _check_times(judged, leaf, what, context)  # f
    return judged


def _token(token: bytes, stamped: bytes, what: str, trust: Trust) -> Token:
    if trust.tsa is None:
        raise CannotTell(
            f"{what} is a time-stamp token, and the trust file names no time-stamp authority",
            "Ask for a proof made for your trust file (muniment proof --trust), or use --lenient.",
            code="unknown_tsa",
        )
    try:
        return verify_token(token, stamped, trust.tsa.authorities)
    except UnknownAuthority as error:
        raise CannotTell(f"{what}: {error.message}", error.next_step, code="unknown_tsa") from error


def _block(anchor: ProofAnchor, stamped: bytes, what: str, context: Context) -> Confirmed:
    if anchor.headers is None:
        raise Mismatch(f"{what} shows no block headers", _TAMPERED, code="anchor_form")
    attested = parse_complete(anchor.anchor, hashlib.sha256(stamped).digest())
    trusted = context.trust.headers
    return locate(
        attested.height,
        attested.merkle_root,
        anchor.headers,
        None if trusted is None else trusted.checkpoint,
        context.chain,
    )


def _check_times(judged: Judged, anchored: Leaf, what: str, context: Context) -> None:
    if judged.block is not None and judged.block.place is Place.UNKNOWN:
        return  # its time is anybody's word
    time = context.leaf.time
    if judged.covers and judged.latest + SLACK < time:
        raise Mismatch(
            f"{what}: {judged.by} says not later than {judged.latest}, and what it covers was admitted at {time}",
            "The anchor is older than what it covers, or the registry's clock was wrong. " + _REGISTRY,
            code="outside_bracket",
        )
    if not judged.covers and judged.earliest - SLACK > time:
        raise Mismatch(
            f"{what}: {judged.by} says not before {judged.earliest}, and the deposit after it was admitted at {time}",
            "The registry's clock was wrong, or it back-dated the deposit. " + _REGISTRY,
            code="outside_bracket",
        )
    if judged.earliest - SLACK > anchored.time:
        raise Mismatch(
            f"{what}: {judged.by} says not before {judged.earliest}, and it was entered at {anchored.time}",
            "The registry's clock was wrong, or it back-dated the anchor. " + _REGISTRY,
            code="outside_bracket",
        )


def can_judge(anchor: ProofAnchor, trust: Trust) -> bool:
    """Whether a trust file can judge an anchor, good or bad: the authority of a token must be one that it names."""
    if anchor.headers is not None:
        return True
    if trust.tsa is None:
        return False
    try:
        verify_token(anchor.anchor, anchor.checkpoint.encode(), trust.tsa.authorities)
    except UnknownAuthority:
        return False
    except BadAnchor:
        return True
    return True
