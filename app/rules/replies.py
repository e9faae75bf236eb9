"""What people of the case say to a request before it is released: an objection, or the recipient's withdrawal."""

from collections.abc import Iterator
from dataclasses import replace

from app.panels import admission_release as admission
from app.rules.act import Act, refuse
from app.rules.aggregates import Aggregate, Objection
from app.rules.cases import case_of
from app.rules.terms import capsule_of, not_over, request_of
from app.statements.kinds import ReleaseObjection, ReleaseWithdraw


def object_to(act: Act[ReleaseObjection]) -> Iterator[Aggregate]:
    """A party of the case objects, once, to another's request that waits. Judges see it; nothing else changes."""
    signer = act.member()
    asked = request_of(act.view, act.claims.request)
    if signer.id not in case_of(act.view, asked.case_id).parties:
        raise refuse("not_in_case", f"the member {signer.id} is not a party of the case {asked.case_id.hex()}")
    if signer.id == asked.recipient:
        raise refuse("own_request", f"the request {asked.id} is the signer's own", "Withdraw it instead.")
    not_over(asked, act.circumstances.now)
    if asked.state.released:
        raise refuse(
            "already_released",
            f"k judges have contributed to the request {asked.id}, and no objection can be heard",
            "Turn to the court.",
        )
    if any(each.member == signer.id for each in asked.objections):
        raise refuse("already_objected", f"the member {signer.id} objected to the request {asked.id} before")
    said = Objection(member=signer.id, digest=act.statement.digest)
    yield replace(asked, objections=(*asked.objections, said))


def withdraw(act: Act[ReleaseWithdraw]) -> Iterator[Aggregate]:
    """The recipient takes his request back; another for the same deposit may follow. What came for it, he has."""
    signer = act.member()
    asked = request_of(act.view, act.claims.request)
    if signer.id != asked.recipient:
        raise refuse("not_a_recipient", f"the request {asked.id} is not of the member {signer.id}")
    not_over(asked, act.circumstances.now)
    capsule = capsule_of(act.view, asked.state.release.public.ct_hash)
    ended = admission.end_request(capsule.state, asked.state)
    yield replace(capsule, state=ended.capsule)
    yield replace(asked, state=ended.request, end="withdrawn")
