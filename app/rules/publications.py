"""Public openings: the presiding judge permits one, the recipient makes it, and anybody can check it (SPEC 5.5, 8.6).

An opening that gives the file key shows the deposit to every reader of the statement, so it takes a decision of its
own. One that shows a malformed capsule gives away nothing, and takes none: nobody is to wait for a permission to say
whose fault it is.
"""

from collections.abc import Iterator
from dataclasses import replace

from app.panels import admission_release as admission
from app.panels.opening import Verdict
from app.rules.act import Act, refuse
from app.rules.aggregates import Aggregate, Publication, Request, SealedCapsule
from app.rules.cases import case_of, not_recused
from app.rules.terms import request_of
from app.rules.view import View
from app.statements.kinds import ReleasePermit, ReleasePublish


def publication_of(view: View, asked: Request) -> Publication:
    """What of a request is permitted, and was opened in public."""
    found = view.find(Publication, asked.id)
    if found is not None:
        return found
    return Publication(id=asked.id, case_id=asked.case_id, document=None, verdict=None, statement=None)


def permit(act: Act[ReleasePermit]) -> Iterator[Aggregate]:
    """The presiding judge permits a public opening of what was released."""
    signer = act.member("judge")
    asked = request_of(act.view, act.claims.request)
    case = case_of(act.view, asked.case_id)
    if case.presiding != signer.id:
        raise refuse("not_presiding", f"the member {signer.id} does not preside over the case {case.id}")
    not_recused(case, signer.id)
    if not asked.state.released:
        raise refuse("not_released", f"the request {asked.id} has {len(asked.state.contributions)} contributions")
    known = publication_of(act.view, asked)
    if known.document is not None:
        raise refuse("already_permitted", f"a public opening of the request {asked.id} is permitted already")
    yield replace(known, document=act.claims.document)


def publish(act: Act[ReleasePublish]) -> Iterator[Aggregate]:
    """The recipient opens in public, whether the request has ended or not and whatever epoch is current; it ends it."""
    signer = act.member()
    asked = request_of(act.view, act.claims.request)
    if signer.id != asked.recipient:
        raise refuse("not_a_recipient", f"the request {asked.id} is not of the member {signer.id}")
    known = publication_of(act.view, asked)
    capsule = act.view.find(SealedCapsule, asked.state.release.public.ct_hash.hex())
    if capsule is None:
        raise refuse("unknown_deposit", f"the capsule of the request {asked.id} is not known")
    claims = act.claims
    shown = admission.opening(capsule.state, asked.state, claims.indices, claims.opening, claims.box)
    verdict = shown.opened.verdict
    if verdict is Verdict.FILE_KEY and known.document is None:
        raise refuse(
            "not_permitted",
            f"no public opening of the request {asked.id} was permitted, and this one holds the key of the deposit",
            "Ask the presiding judge.",
        )
    yield replace(capsule, state=shown.capsule)
    yield replace(asked, state=shown.request, end=asked.end or "published")
    yield replace(known, verdict=verdict.value, statement=act.statement.digest)
