"""A member's X.509 certificate: a registrar binds it to the key that the member has now.

The rules check what every reader can check again: the chain's form and signatures, its validity at the leaf's time, and
the signature of the certificate's key over this registry, member and key. Under which roots the chain stands, and what
the recorded revocation evidence is worth, is the registrar's word (`app.identities.judging` asks it again under roots
of the reader's own).
"""

from collections.abc import Iterator

from app.identities.chain import check_time, read_chain
from app.identities.possession import check_possession
from app.rules.act import Act, person_of, refuse
from app.rules.aggregates import Aggregate, Binding, Person
from app.rules.view import View
from app.statements.keys import thumbprint
from app.statements.kinds import MemberIdentity


def identify(act: Act[MemberIdentity]) -> Iterator[Aggregate]:
    """The newest binding counts; it ends with the member's key."""
    claims = act.claims
    registrar = act.member("registrar")
    person = person_of(act.view, claims.member)
    if person.role != claims.role:
        raise refuse("wrong_role", f"the member {person.id} is a {person.role}, not a {claims.role}")
    if registrar.id == person.id:
        raise refuse("self_identified", "a registrar does not vouch for himself", "Let another registrar do it.")
    chain = read_chain(claims.certificates)
    check_time(chain, act.circumstances.now)
    key = thumbprint(person.key)
    check_possession(chain, claims.algorithm, claims.signature, origin=act.registry.origin, member=person.id, key=key)
    if not claims.ocsp and not claims.crls:
        raise refuse(
            "no_revocation_evidence",
            f"nothing is recorded of whether the certificate of {chain.subject} was revoked",
            "Add the authority's OCSP answer or its list.",
        )
    yield Binding(
        id=person.id,
        key=key,
        subject=chain.subject,
        issuer=chain.issuer,
        root=chain.root,
        certificate=chain.sha256,
        not_after=chain.not_after,
        statement=act.statement.digest,
        index=act.circumstances.index,
    )


def binding_of(view: View, person: Person, now: int) -> Binding | None:
    """The binding in force at `now` (Unix seconds): of his present key, with certificates that have not ended."""
    found = view.find(Binding, person.id)
    if found is None or not person.active or found.key != thumbprint(person.key) or now > found.not_after:
        return None
    return found
