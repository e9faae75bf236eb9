"""What an act that waits for the authority would do, in words: nobody is to sign a digest blind."""

from app.client.duties import names_of
from app.rules.aggregates import KeyHolder, Panel, Person, Proposal
from app.rules.view import WholeView
from app.statements.keys import thumbprint
from app.statements.kinds import Erase, MemberEnrol, MemberKey, MemberRevoke, PanelRoster
from app.statements.statement import Statement


def describe_act(view: WholeView, act: Statement) -> tuple[str, ...]:
    """Return lines that say what takes effect with the last approval, and who asks for it."""
    claims = act.claims
    if isinstance(claims, MemberEnrol):
        lines = [f"enrols {claims.name} as {claims.role}, with the key {thumbprint(claims.key)}"]
    elif isinstance(claims, MemberRevoke):
        lines = [f"revokes {_who(view, claims.member)}, {claims.role}"]
    elif isinstance(claims, MemberKey):
        lines = [f"gives {_who(view, claims.member)}, {claims.role}, the new key {thumbprint(claims.key)}"]
    elif isinstance(claims, PanelRoster):
        panel = view.find(Panel, claims.panel_id.hex())
        lines = list(describe_roster(view, claims, panel.proposal if panel is not None else None))
    elif isinstance(claims, Erase):
        lines = [
            f"erases {len(claims.entries)} entries on the deposit whose id has the SHA-256 {claims.deposit.hex()}: "
            "its boxes, notes and statements are destroyed for good",
            f"because: {claims.reason}",
            f"under the paper with the SHA-256 {claims.document.hex()}: compare it with the one in your hand",
        ]
    else:
        lines = [f"is a {act.kind}"]
    holder = view.find(KeyHolder, act.kid)
    asks = _who(view, holder.member) if holder is not None and holder.member is not None else act.kid
    return (*lines, f"asked for by {asks}")


def _who(view: WholeView, member: str) -> str:
    person = view.find(Person, member)
    return f"{person.name} ({member})" if person is not None else member


def describe_roster(view: WholeView, claims: PanelRoster, proposal: Proposal | None) -> tuple[str, ...]:
    """Return lines that say what a roster does, by the proposal that it is for, None where that is not known."""
    head = f"makes the roster of the panel {claims.panel_id.hex()}, epoch {claims.epoch}"
    if proposal is None or proposal.digest != claims.propose:
        return (f"{head}, from a proposal that is not the newest any more: it cannot take effect",)
    names = names_of(view, proposal.judges)
    return (
        f"{head}: any {proposal.k} of these {len(proposal.judges)} open what is sealed to it",
        *(f"  {index}. {name} ({id})" for index, (name, id) in enumerate(zip(names, proposal.judges, strict=True), 1)),
    )
