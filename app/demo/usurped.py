"""The law of a dishonest registry: all the ordinary rules, and an authority of its own.

A registrar and an operator who conspire hold the log key, the service key and the registrar's key, but none of the
authority's. The best that they can do is to run a registry whose software takes keys of their own for the authority.
Every honest client replays the entries under the authority that its trust file pins, and names the first that is not.
"""

from dataclasses import dataclass, replace

from app.rules.act import Circumstances
from app.rules.aggregates import KeyHolder, Registry
from app.rules.decide import Admitted, Law, Refusal, decide
from app.rules.view import A, View
from app.statements.keys import thumbprint
from app.statements.kinds import Authority
from app.statements.statement import Statement


@dataclass(frozen=True, slots=True)
class _Usurped:
    """A view in which the registry's authority is another one."""

    honest: View
    authority: Authority

    def find(self, of: type[A], id: str) -> A | None:
        for key in self.authority.keys:
            if of is KeyHolder and id == thumbprint(key):
                holder = KeyHolder(id=id, key=key, holder="authority", member=None, retired=False)
                return holder if isinstance(holder, of) else None
        found = self.honest.find(of, id)
        if isinstance(found, Registry):
            usurped = replace(found, authority=self.authority)
            return usurped if isinstance(usurped, of) else None
        return found


def usurped_by(authority: Authority) -> Law:
    """Return the ordinary rules, in which `authority` approves beside the one that the genesis founded."""
    keys = {thumbprint(key) for key in authority.keys}

    def law(view: View, statement: Statement, circumstances: Circumstances) -> Admitted | Refusal:
        return decide(_Usurped(view, authority) if statement.kid in keys else view, statement, circumstances)

    return law
