"""Who is at fault by a signed blame: the dealer, or the accuser who lies. Checked by anyone, from public statements.

A blame that was admitted stands on the ledger. One that was refused as unfounded does not, since it opens a good share
to whoever reads it; the registry keeps it, and whoever is shown it verifies it here against the session's transcript.
"""

from dataclasses import dataclass

from app.client.session import State
from app.client.visit import session_of
from app.errors import BadInput, Refused
from app.panels.blame import parse_blame, verify_blame
from app.panels.errors import PanelError
from app.rules.aggregates import KeyHolder
from app.statements.kinds import PanelBlame
from app.statements.statement import Statement, verify_signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whose fault a blame shows, beyond doubt. Member ids."""

    session: bytes
    accuser: str
    dealer: str
    upheld: bool
    """True: the dealer's share was bad. False: it was good, and the accuser signed that it was bad."""

    @property
    def at_fault(self) -> str:
        """Who is named by it."""
        return self.dealer if self.upheld else self.accuser


def verdict_of(state: State, statement: Statement) -> Verdict:
    """Verify a signed blame against the replayed ledger.

    Raises BadInput (not_a_blame), Refused (wrong_session, wrong_signer), Mismatch (bad_signature), PanelError where it
    shows nothing about anybody (`blame_proof`, `bad_signature`, `blame_unknown_deal`, …).
    """
    if not isinstance(statement.claims, PanelBlame):
        raise BadInput(f"the statement is a {statement.kind}", "Name a panel.blame statement.", code="not_a_blame")
    message = statement.claims.blame
    blame = parse_blame(message)
    session = session_of(state.view, blame.session)
    if not 1 <= blame.accuser <= len(session.judges) or not 1 <= blame.dealer <= len(session.dealers):
        raise PanelError("bad_index")
    accuser, dealer = session.judges[blame.accuser - 1], session.dealers[blame.dealer - 1]
    holder = state.view.find(KeyHolder, statement.kid)
    if holder is None or holder.member != accuser:
        raise Refused(
            "the statement is not signed by the judge in whose name it blames",
            "Ask for the original.",
            code="wrong_signer",
        )
    verify_signature(statement, holder.key)
    try:
        verify_blame(session.state.session, session.state.closed_deals, message)
    except PanelError as error:
        if error.code != "blame_unfounded":
            raise
        return Verdict(session=blame.session, accuser=accuser, dealer=dealer, upheld=False)
    return Verdict(session=blame.session, accuser=accuser, dealer=dealer, upheld=True)
