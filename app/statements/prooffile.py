"""The proof file, `muniment-proof/v1`: one deposit, checkable alone. Its form only; `app.verify` says whether it holds.

`{"format":"muniment-proof/v1","statement":JWS,"disclosures":[{"item","slot","disclosure"}…],"leaf":TEXT,
"tlog_proof":TEXT,"manifest":TEXT,"signers":[{"statement","leaf","tlog_proof"}…],"anchors":[…]}`, canonical JSON: the
file equals its canonical form byte for byte, without a final newline. Disclosures stand in the order of items, the
deposit's own last, within an item in the order of the manifest's slots; signers in ledger order, genesis first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.canonical import format_json, parse_json, take_list, take_object, take_str
from app.errors import BadInput
from app.statements.disclosure import NamedDisclosure, parse_named_disclosure
from app.statements.proofanchor import MAX_ANCHORS
from app.statements.statement import MAX_STATEMENT_BYTES
from ledger.errors import LedgerError
from ledger.note import Note
from ledger.policy import Policy
from ledger.proof import Proof

FORMAT = "muniment-proof/v1"
MAX_PROOF_BYTES = 64 * 1024 * 1024
MAX_SIGNERS = 4096
MAX_DISCLOSURES = 100_000
ITEM_SLOTS = ("name", "type", "size", "sha256", "parts")
DEPOSIT_SLOTS = ("description", "origin")
_KEYS = ("format", "statement", "disclosures", "leaf", "tlog_proof", "manifest", "signers", "anchors")
_MAX_LEAF_BYTES = 512
_MAX_TLOG_PROOF_BYTES = 1_010_000
_MAX_MANIFEST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A statement with its leaf text and the C2SP tlog-proof of the leaf."""

    statement: str
    leaf: str
    tlog_proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofFile:
    """A proof file's parts, none of them checked."""

    deposit: Proven
    disclosures: tuple[NamedDisclosure, ...]
    manifest: str
    signers: tuple[Proven, ...]
    """What founds the depositor's key: genesis, enrolments with approvals, rotations; in ledger order."""
    anchors: tuple[object, ...] = ()
    """JSON values: `app.statements.proofanchor` reads and writes them."""


def order_of(disclosure: NamedDisclosure) -> tuple[int, int]:
    """The place of a disclosure among others. Raises BadInput (bad_disclosure) when there is no such slot."""
    names = DEPOSIT_SLOTS if disclosure.item is None else ITEM_SLOTS
    if disclosure.slot not in names or disclosure.item == 0:
        where = "the deposit" if disclosure.item is None else f"item {disclosure.item}"
        raise BadInput(f"{where} has no slot {disclosure.slot!r}", f"Name {', '.join(names)}.", code="bad_disclosure")
    return (2**53 if disclosure.item is None else disclosure.item, names.index(disclosure.slot))


def format_proof_file(proof: ProofFile) -> bytes:
    """Return the file's bytes. Raises BadInput for parts that `parse_proof_file` would refuse."""
    data = format_json(
        {
            "format": FORMAT,
            "statement": proof.deposit.statement,
            "disclosures": [each.to_json() for each in proof.disclosures],
            "leaf": proof.deposit.leaf,
            "tlog_proof": proof.deposit.tlog_proof,
            "manifest": proof.manifest,
            "signers": [
                {"statement": each.statement, "leaf": each.leaf, "tlog_proof": each.tlog_proof}
                for each in proof.signers
            ],
            "anchors": list(proof.anchors),
        }
    ).encode("utf-8")
    parse_proof_file(data)
    return data


def parse_proof_file(data: bytes) -> ProofFile:
    """Read a proof file. Raises BadInput (the codes of `app.canonical`, not_a_proof, bad_disclosure)."""
    what = "the proof file"
    value = parse_json(data, what=what, max_bytes=MAX_PROOF_BYTES)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise BadInput(f"{what} is not of the format {FORMAT}", "Name the deposit's proof file.", code="not_a_proof")
    fields = take_object(value, _KEYS, what)
    disclosures = tuple(
        parse_named_disclosure(each, f"disclosure {number} of {what}")
        for number, each in enumerate(take_list(fields["disclosures"], "the disclosures", max_items=MAX_DISCLOSURES))
    )
    places = [order_of(each) for each in disclosures]
    if any(a >= b for a, b in pairwise(places)):
        raise BadInput(f"the disclosures of {what} are not in order, or one stands twice", code="bad_disclosure")
    signers = take_list(fields["signers"], "the signers", min_items=1, max_items=MAX_SIGNERS)
    return ProofFile(
        deposit=_proven(fields, "the deposit"),
        disclosures=disclosures,
        manifest=take_str(fields["manifest"], "the manifest", max_bytes=_MAX_MANIFEST_BYTES),
        signers=tuple(
            _proven(take_object(each, ("statement", "leaf", "tlog_proof"), f"signer {number}"), f"signer {number}")
            for number, each in enumerate(signers)
        ),
        anchors=tuple(take_list(fields["anchors"], "the anchors", max_items=MAX_ANCHORS)),
    )


def known_lines(tlog_proof: str, policy: Policy) -> str:
    """Return the proof with only those signature lines whose keys the policy names.

    Raises BadInput (not_in_policy) when none is left, or when the proof is malformed.
    """
    try:
        proof = Proof.parse(tlog_proof)
        note = Note.parse(proof.checkpoint)
        keys = [log.key for log in policy.logs] + [witness.key for witness in policy.witnesses]
        lines = tuple(line for line in note.signatures if any(line.names(key) for key in keys))
        checkpoint = Note(text=note.text, signatures=lines).format()
        return Proof(index=proof.index, path=proof.path, checkpoint=checkpoint).format()
    except LedgerError as error:
        raise BadInput(
            f"no proof for this trust file can be made: {error.message}",
            "Take the trust file of the registry that has the deposit.",
            code="not_in_policy",
        ) from error


def choose(disclosures: Sequence[NamedDisclosure], slots: Sequence[str]) -> tuple[NamedDisclosure, ...]:
    """Return the disclosures of the named slots, in the file's order. Raises BadInput for a name that no slot has."""
    for name in slots:
        if name not in (*ITEM_SLOTS, *DEPOSIT_SLOTS):
            raise BadInput(
                f"there is no slot {name!r}", f"Name {', '.join((*ITEM_SLOTS, *DEPOSIT_SLOTS))}.", code="bad_disclosure"
            )
    return tuple(sorted((each for each in disclosures if each.slot in slots), key=order_of))


def _proven(fields: dict[str, object], what: str) -> Proven:
    return Proven(
        statement=take_str(fields["statement"], f"the statement of {what}", max_bytes=MAX_STATEMENT_BYTES),
        leaf=take_str(fields["leaf"], f"the leaf of {what}", max_bytes=_MAX_LEAF_BYTES),
        tlog_proof=take_str(fields["tlog_proof"], f"the tlog_proof of {what}", max_bytes=_MAX_TLOG_PROOF_BYTES),
    )
