"""Make proof files from what the client replayed itself: every inclusion proof comes from the client's own tree."""

from collections.abc import Mapping, Sequence

from app.client.session import State
from app.errors import BadInput, Mismatch, Refused
from app.rules.aggregates import Deposited, KeyHolder
from app.sealing.manifest import manifest_hash
from app.statements.disclosure import NamedDisclosure
from app.statements.keys import thumbprint
from app.statements.kinds import Approval, Genesis, MemberDevice, MemberEnrol, MemberIdentity, MemberKey
from app.statements.proofanchor import ProofAnchor, anchor_json
from app.statements.prooffile import ProofFile, Proven, format_proof_file, known_lines
from app.statements.statement import Statement, parse_statement
from app.statements.trust import Trust


def signers_of(state: State, statement: Statement, before: int) -> tuple[int, ...]:
    """The indices of the statements that found a signer, below `before`: genesis, enrolments and rotations of him and
    of all who signed those, with their approvals; and the newest certificate that was bound to him before it.
    """
    parsed = {index: parse_statement(entry.statement) for index, entry in state.entries.items() if index < before}
    subjects = {index: _subject(each) for index, each in parsed.items()}
    identified = _identified(parsed, _member(state, statement.kid))
    approvals: dict[bytes, list[int]] = {}
    for index, each in parsed.items():
        if isinstance(each.claims, Approval):
            approvals.setdefault(each.claims.act, []).append(index)
    found = {index for index, each in parsed.items() if isinstance(each.claims, Genesis)} | set(identified)
    done: set[str] = set()
    waiting = [_member(state, statement.kid), *(_member(state, parsed[index].kid) for index in identified)]
    while waiting:
        member = waiting.pop()
        if member is None or member in done:
            continue
        done.add(member)
        for index, subject in subjects.items():
            if subject == member:
                found.add(index)
                found.update(approvals.get(parsed[index].digest, ()))
                waiting.append(_member(state, parsed[index].kid))
    return tuple(sorted(found))


def proven(state: State, index: int, trust: Trust) -> Proven:
    """One entry with its proof under the state's checkpoint, with the signature lines that `trust` knows."""
    entry = state.entries[index]
    return Proven(statement=entry.statement, leaf=entry.leaf, tlog_proof=known_lines(state.proof(index), trust.policy))


def make_proof(
    state: State,
    deposit_id: bytes,
    manifest: str,
    disclosures: Sequence[NamedDisclosure],
    trust: Trust,
    *,
    anchors: Sequence[ProofAnchor] = (),
) -> bytes:
    """Return the proof file of a deposit for the holders of `trust`, with `anchors` (`app.client.anchors`).

    Raises Refused (unknown_deposit), Mismatch (manifest_mismatch), BadInput (other_ledger, not_in_policy).
    """
    found = state.view.find(Deposited, deposit_id.hex())
    if found is None:
        raise Refused(
            f"there is no deposit {deposit_id.hex()} on the ledger, or you may not read it",
            "Check the id.",
            code="unknown_deposit",
        )
    if manifest_hash(manifest) != found.manifest_hash:
        raise Mismatch(
            f"the manifest shown is not that of the deposit {deposit_id.hex()}",
            "Keep the answer; tell the registrar.",
            code="manifest_mismatch",
        )
    index = state.indices[found.digest]
    statement = state.statement(found.digest)
    if trust.origin != statement.envelope.aud:
        raise BadInput(
            f"the trust file is for {trust.origin!r}, and the deposit is on {statement.envelope.aud!r}",
            "Take the trust file of that registry.",
            code="other_ledger",
        )
    return format_proof_file(
        ProofFile(
            deposit=proven(state, index, trust),
            disclosures=tuple(disclosures),
            manifest=manifest,
            signers=tuple(proven(state, each, trust) for each in signers_of(state, statement, index)),
            anchors=tuple(anchor_json(each) for each in anchors),
        )
    )


def _subject(statement: Statement) -> str | None:
    if isinstance(statement.claims, MemberEnrol):
        return thumbprint(statement.claims.key)
    return statement.claims.member if isinstance(statement.claims, MemberKey | MemberDevice) else None


def _identified(parsed: Mapping[int, Statement], member: str | None) -> tuple[int, ...]:
    """The index of the newest binding of a member's certificate, if there is one."""
    found = [
        index
        for index, each in parsed.items()
        if isinstance(each.claims, MemberIdentity) and each.claims.member == member
    ]
    return (max(found),) if found else ()


def _member(state: State, kid: str) -> str | None:
    holder = state.view.find(KeyHolder, kid)
    return holder.member if holder is not None else None
