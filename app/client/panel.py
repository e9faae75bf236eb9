"""Following a panel: from the trust file to its joint key Y, and to the people behind it.

The state was replayed from the genesis that the trust file pins, by the rules: the authority's approvals of the roster,
each judge's own signature on his card, every deal and the n acknowledgments (SPEC 6 and 8) were checked again on this
machine, and the checkpoint that they stand under meets the trust file's policy. So Y is what SPEC 4 asks for ("Trust
in Y"): the end of a verified chain, its certification on the ledger. A Y that a server hands out is never used.
"""

from dataclasses import dataclass

from app.client.session import State
from app.client.visit import record_of
from app.errors import Mismatch, Refused
from app.panels.record import EpochRecord
from app.rules.aggregates import Case, Epoch, Panel, Person


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedPanel:
    """A panel's current epoch, as far as this client proved it itself."""

    panel_id: bytes
    record: EpochRecord
    judges: tuple[Person, ...]
    """In index order: judge i of the panel stands at i − 1."""

    @property
    def y(self) -> bytes:
        """The joint key, 32 bytes."""
        return bytes(self.record.Y)

    @property
    def k(self) -> int:
        """How many judges open."""
        return self.record.k

    @property
    def n(self) -> int:
        """How many judges there are."""
        return self.record.n

    @property
    def epoch(self) -> int:
        """The number of the epoch, from 1."""
        return self.record.epoch

    @property
    def epoch_id(self) -> bytes:
        """The epoch's id, 32 bytes."""
        return self.record.epoch_id


def follow(state: State, panel_id: bytes) -> CertifiedPanel:
    """Return the panel's current certified epoch. Raises Refused (unknown_panel, no_epoch), PanelError."""
    panel = state.view.find(Panel, panel_id.hex())
    if panel is None:
        raise Refused(
            f"there is no panel {panel_id.hex()} on this ledger", "Check the panel's id.", code="unknown_panel"
        )
    epoch = state.view.find(Epoch, panel.epoch_id.hex()) if panel.epoch_id is not None else None
    if epoch is None:
        raise Refused(
            f"the panel {panel_id.hex()} has no certified epoch",
            "Wait until every one of its judges has acknowledged the key ceremony.",
            code="no_epoch",
        )
    # The chain once more over the raw messages (SPEC 7.1): Y comes from this walk, and the rules must agree with it.
    record = record_of(state.view, panel)
    if record.encoded != epoch.record or record.panel_id != panel_id:
        raise Mismatch(
            f"the panel {panel_id.hex()} ends in another epoch by its transcripts than by the rules",
            "Keep your folder as it is and report this.",
            code="chain_broken",
        )
    return CertifiedPanel(panel_id=panel_id, record=record, judges=tuple(_person(state, each) for each in epoch.judges))


def panels_of(state: State, case_id: bytes, *, most: int = 3) -> tuple[CertifiedPanel, ...]:
    """The panels that are assigned to a case, the newest `most` of them. Raises Refused (unknown_case, no_panel)."""
    case = case_of(state, case_id)
    if not case.panels:
        raise Refused(f"no panel is assigned to the case {case.id}", "Ask the clerk to assign one.", code="no_panel")
    return tuple(follow(state, each) for each in case.panels[-most:])


def case_of(state: State, case_id: bytes) -> Case:
    """The case. Raises Refused (unknown_case)."""
    case = state.view.find(Case, case_id.hex())
    if case is None:
        raise Refused(
            f"there is no case {case_id.hex()}, or it does not concern you", "Check the case's id.", code="unknown_case"
        )
    return case


def _person(state: State, member: str) -> Person:
    person = state.view.find(Person, member)
    if person is None:  # the rules admit only enrolled judges to a roster
        raise Refused(f"the judge {member} is not on this ledger", "Report this.", code="unknown_member")
    return person
