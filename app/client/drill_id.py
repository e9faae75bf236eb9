"""By what a drill is known: the id of its case, its text, its order's paper. Pure; everybody derives the same.

    case_id = the first 16 bytes of SHA-256(`muniment/drill/v1` ‖ panel_id ‖ u32(number)), number = 1, 2, 3 …

Anybody who sees the case recognises it, and no kind, claim or rule is made for it. What keeps a drill from being a
lure: a depositor's client puts nothing but the drill's own text into a case with such an id, the label binds every
capsule to its case, and the order's paper is a text that each judge's client writes itself. So a grant in a drill opens
what its depositor wrote for it, whoever opened the case.
"""

import hashlib

from app.panels.hashing import u32
from app.rules.aggregates import Case, Panel
from app.rules.view import WholeView


def drill_case_id(panel_id: bytes, number: int) -> bytes:
    """Return the id, 16 bytes, of the case of a panel's drill."""
    return hashlib.sha256(b"muniment/drill/v1" + panel_id + u32(number)).digest()[:16]


def drill_text(panel_id: bytes, number: int) -> bytes:
    """Return what is deposited for a drill: the same for everybody who knows panel and number."""
    return f"Drill {number} of the panel {panel_id.hex()}. This text is all that the deposit holds.\n".encode()


def drill_paper(panel_id: bytes, number: int) -> bytes:
    """Return the order's paper of a drill, which nobody has to hand on."""
    return f"Order: drill {number} of the panel {panel_id.hex()}. Its test deposit shall be opened.\n".encode()


def is_drill(view: WholeView, case_id: bytes) -> bool:
    """Whether a case has the id of a drill of a panel that is on the ledger, begun or the next to begin."""
    for each in view.aggregates.values():
        if isinstance(each, Panel):
            number = 1
            while (mine := drill_case_id(each.state.panel_id, number)) != case_id:
                if view.find(Case, mine.hex()) is None:
                    break
                number += 1
            if mine == case_id:
                return True
    return False
