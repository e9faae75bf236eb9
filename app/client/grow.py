"""A proof that grows: made with the anchors that there are by now, or brought up to date where it is held.

What a held proof file shows stays as it is: its disclosures, and whom it is for. Its checkpoint and anchors become the
newest, and the file is replaced at once and only when the new one verifies and has lost no level.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.client.anchors import choose_anchors
from app.client.files import read_file, write_file
from app.client.proof import make_proof
from app.client.session import Client
from app.errors import Mismatch, Refused
from app.rules.aggregates import Deposited
from app.statements.disclosure import NamedDisclosure
from app.statements.kinds import Deposit
from app.statements.prooffile import MAX_PROOF_BYTES, parse_proof_file
from app.statements.statement import parse_statement
from app.statements.trust import Trust
from app.verify.proof import check_proof
from app.verify.verdict import Outcome, Verdict
from ledger.anchors.growth import ORDER
from ledger.anchors.headers import Chain


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """A proof with its verdict under the trust file that it is for, and what was wrong with anchors left out."""

    data: bytes
    verdict: Verdict
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A proof file that somebody holds."""

    path: Path
    data: bytes
    deposit_id: bytes
    manifest: str
    disclosures: tuple[NamedDisclosure, ...]


async def grow_proof(
    client: Client,
    deposit_id: bytes,
    manifest: str,
    disclosures: Sequence[NamedDisclosure],
    *,
    trust: Trust,
    chain: Chain | None = None,
) -> Grown:
    """Make the newest proof of a deposit for the holders of `trust`.

    Raises Refused (unknown_deposit), Mismatch (the proof does not verify, manifest_mismatch), BadInput, Unreachable.
    """
    state, now = await client.sync(), client.clock()
    found = state.view.find(Deposited, deposit_id.hex())
    if found is None:
        raise Refused(
            f"there is no deposit {deposit_id.hex()} on the ledger, or you may not read it",
            "Check the id.",
            code="unknown_deposit",
        )
    index = state.indices[found.digest]
    chosen = await choose_anchors(state, index, trust, client.api.anchor, now=now, chain=chain)
    data = make_proof(state, deposit_id, manifest, disclosures, trust, anchors=chosen.anchors)
    verdict = check_proof(data, trust, now=now, chain=chain)
    if verdict.outcome is Outcome.MISMATCH:
        failed = verdict.failed
        raise Mismatch(
            f"the proof does not verify: {failed.detail if failed else ''}",
            "Nothing was written. Keep your folder as it is and report this.",
            code=failed.code if failed else "does_not_match",
        )
    return Grown(data=data, verdict=verdict, problems=chosen.problems)


def read_held(path: Path) -> Held:
    """Read a proof file that is held. Raises BadInput when it is none."""
    data = read_file(path, "the proof file", most=MAX_PROOF_BYTES)
    proof = parse_proof_file(data)
    claims = parse_statement(proof.deposit.statement).claims
    if not isinstance(claims, Deposit):
        raise Mismatch(f"{path} is the proof of something that is no deposit", "Keep it.", code="not_a_deposit")
    return Held(
        path=path,
        data=data,
        deposit_id=claims.deposit_id,
        manifest=proof.manifest,
        disclosures=proof.disclosures,
    )


def replace_held(held: Held, grown: Grown, *, trust: Trust, now: int, chain: Chain | None = None) -> Verdict:
    """Replace the file by the newer proof, durably and at once; return what the old one was worth.

    Raises Mismatch when the held one does not match (it is evidence: keep it), or when a level would be lost.
    """
    before = check_proof(held.data, trust, now=now, chain=chain)
    if before.outcome is Outcome.MISMATCH:
        failed = before.failed
        raise Mismatch(
            f"{held.path} does not match: {failed.detail if failed else ''}",
            "Nothing was changed. Keep it as it is, and write a new proof to another file (-o).",
            code=failed.code if failed else "does_not_match",
        )
    if ORDER.index(grown.verdict.level) < ORDER.index(before.level):
        raise Mismatch(
            f"{held.path} is {before.level.value}, and the newest proof would be {grown.verdict.level.value} only",
            "Nothing was changed. The registry withholds something: ask its operator, and keep the file.",
            code="level_lost",
        )
    if grown.data != held.data:
        write_file(held.path, grown.data, mode=0o644)
    return before
