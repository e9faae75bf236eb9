"""What a proof file says of who the depositor is: a certificate bound to his key, or none; never more than is shown."""

import argparse
from dataclasses import replace

from app.certificates.claims import Identity
from app.certificates.facts import read_shown
from app.cli.verdicts import proof_lines
from app.client.proof import proven, signers_of
from app.client.record import make_record
from app.rules.act import Circumstances
from app.rules.aggregates import Binding, Person
from app.rules.decide import Admitted, Refusal, decide
from app.rules.view import View
from app.statements.kinds import MemberIdentity, MemberKey
from app.statements.prooffile import format_proof_file, parse_proof_file
from app.statements.statement import Statement, leaf_of, parse_statement
from app.verify.proof import check_proof
from app.verify.record import check_record
from app.verify.verdict import Outcome, Verdict
from app.verify.words import identity_lines
from tests.app.identities.people import bound, issued
from tests.app.rules.world import NOTES, Release, World
from tests.app.verify.proofs import Made, a_deposit, deposited, panelled
from tests.app.verify.records import state_of

SUBJECT = "CN=Person lawyer1,O=Demonstration\\, worth nothing,C=ZZ"
ISSUER = "CN=Test Issuing CA,O=Demonstration\\, worth nothing,C=ZZ"
ENROLLED = Identity(assurance="enrolled", subject=None, issuer=None)


def checked(made: Made, data: bytes | None = None) -> Verdict:
    return check_proof(data or made.proof(), made.trust)


def bindings_in(data: bytes) -> list[str]:
    parsed = [parse_statement(each.statement) for each in parse_proof_file(data).signers]
    return [each.claims.member for each in parsed if isinstance(each.claims, MemberIdentity)]


def made_with(*before: str) -> tuple[World, Made]:
    """A deposit by lawyer1, after the binding of the people named."""
    world, ceremony, case_id = panelled()
    for name in before:
        world.do("registrar", bound(world, name, "depositor" if name == "lawyer1" else "party").claims)
    return world, deposited(world, ceremony, case_id)


def test_a_bound_certificate_is_in_the_proof_and_verify_says_so() -> None:
    world, made = made_with("lawyer2", "lawyer1")
    data = made.proof()
    assert bindings_in(data) == [world.id("lawyer1")], "his own, and nobody else's"
    verdict = checked(made, data)
    assert verdict.outcome is Outcome.VERIFIED
    assert verdict.identity is not None
    assert (verdict.identity.subject, verdict.identity.issuer) == (SUBJECT, ISSUER)
    found = verdict.to_json()["identity"]
    assert isinstance(found, dict)
    assert found["assurance"] == "certificate"
    lines = identity_lines(verdict)
    assert lines[0].startswith(f"identity: bound to X.509 subject {SUBJECT}, issuer {ISSUER} (entry ")
    assert "the registrar's word" in lines[2]
    shown = read_shown(parse_proof_file(data))
    assert shown.identity == Identity(assurance="certificate", subject=SUBJECT, issuer=ISSUER)


def test_without_a_binding_nothing_more_is_said() -> None:
    made = a_deposit()
    verdict = checked(made)
    assert verdict.identity is None
    assert verdict.to_json()["identity"] == {"assurance": "enrolled"}
    assert "shows no X.509 certificate" in identity_lines(verdict)[0]
    assert read_shown(parse_proof_file(made.proof())).identity == ENROLLED


def test_a_binding_that_is_left_out_says_less_and_never_more() -> None:
    _, made = made_with("lawyer1")
    whole = parse_proof_file(made.proof())
    kept = tuple(
        each for each in whole.signers if not isinstance(parse_statement(each.statement).claims, MemberIdentity)
    )
    verdict = checked(made, format_proof_file(replace(whole, signers=kept)))
    assert verdict.outcome is Outcome.VERIFIED
    assert verdict.identity is None


def test_the_newest_counts_and_only_what_was_bound_before_the_deposit() -> None:
    world, ceremony, case_id = panelled()
    world.do("registrar", bound(world, "lawyer1", "depositor").claims)
    world.do("registrar", bound(world, "lawyer1", "depositor", issued("Person renewed")).claims)
    made = deposited(world, ceremony, case_id)
    world.do("registrar", bound(world, "lawyer1", "depositor", issued("Person later")).claims)
    verdict = checked(made)
    assert verdict.identity is not None
    assert verdict.identity.subject.startswith("CN=Person renewed,")
    assert len(bindings_in(made.proof())) == 1


def test_a_new_key_or_an_ended_certificate_leaves_no_identity() -> None:
    world, ceremony, case_id = panelled()
    world.do("registrar", bound(world, "lawyer1", "depositor").claims)
    new = world.signer("lawyer1 new")
    world.do("lawyer1", MemberKey(member=world.id("lawyer1"), role="depositor", key=new.public, notes=NOTES))
    rotated = deposited(world, ceremony, case_id, "lawyer1 new")
    verdict = checked(rotated)
    assert (verdict.outcome, verdict.identity) == (Outcome.VERIFIED, None)
    world, ceremony, case_id = panelled()
    world.do("registrar", bound(world, "lawyer1", "depositor", issued("Short", days=3)).claims)
    world.now += 4 * 86_400
    late = deposited(world, ceremony, case_id)
    verdict = checked(late)
    assert (verdict.outcome, verdict.identity) == (Outcome.VERIFIED, None)
    assert read_shown(parse_proof_file(late.proof())).identity == ENROLLED


def test_another_members_binding_beside_the_proof_says_nothing_of_the_depositor() -> None:
    world, made = made_with("lawyer2")
    assert bindings_in(made.proof()) == []
    # An attacker adds it himself, with what founds it: it stands on the ledger, and it is of somebody else.
    state, other = made.state(), world.view.find(Person, world.id("lawyer2"))
    binding = world.view.find(Binding, world.id("lawyer2"))
    assert other is not None
    assert binding is not None
    indices = sorted({*signers_of(state, made.deposit, binding.index), other.index, binding.index})
    signers = tuple(proven(state, each, made.trust) for each in indices)
    data = format_proof_file(replace(parse_proof_file(made.proof()), signers=signers))
    assert bindings_in(data) == [world.id("lawyer2")]
    verdict = checked(made, data)
    assert (verdict.outcome, verdict.identity) == (Outcome.VERIFIED, None)
    assert read_shown(parse_proof_file(data)).identity == ENROLLED


def test_a_registry_that_admits_a_forged_binding_is_found_out() -> None:
    """Everybody colludes but the holder of the certificate, who never signed for this member."""
    world, ceremony, case_id = panelled()
    thief = bound(world, "lawyer1", "depositor", issued("Victim"), key=world.id("lawyer2"))

    def lawless(view: View, statement: Statement, circumstances: Circumstances) -> Admitted | Refusal:
        if isinstance(statement.claims, MemberIdentity):
            return Admitted(statement=statement, leaf=leaf_of(statement, circumstances.now), changes=())
        return decide(view, statement, circumstances)

    world.law = lawless
    world.do("registrar", thief.claims)
    made = deposited(world, ceremony, case_id)
    verdict = checked(made)
    assert verdict.outcome is Outcome.MISMATCH
    assert verdict.failed is not None
    assert verdict.failed.code == "replay_refused"
    assert "CN=Victim" in verdict.failed.detail


def test_a_release_record_carries_the_bindings_of_those_concerned() -> None:
    world, ceremony, case_id = panelled()
    for name, role in (("lawyer1", "depositor"), ("lawyer2", "party"), ("judge1", "judge")):
        world.do("registrar", bound(world, name, role).claims)
    made = deposited(world, ceremony, case_id)
    release = Release(world=world, ceremony=ceremony, case_id=case_id, deposit=made.deposit)  # type: ignore[arg-type]
    release.ask()
    for judge in ("judge1", "judge3"):
        world.do(judge, release.grant(judge))
        world.do("registrar", bound(world, judge, "judge", issued(f"While it ran, {judge}")).claims)
        world.do(judge, release.contribute(judge))
    assert release.request is not None
    data = make_record(state_of(world), release.request.digest, made.trust).data
    verdict = check_record(data, made.trust)
    assert verdict.outcome is Outcome.VERIFIED, verdict.failed


def test_the_command_prints_it() -> None:
    _, made = made_with("lawyer1")
    text = "\n".join(proof_lines(argparse.Namespace(proof="p", trust="t"), checked(made)))
    assert f"identity: bound to X.509 subject {SUBJECT}, issuer {ISSUER}" in text
