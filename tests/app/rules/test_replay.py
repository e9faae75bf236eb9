"""The replay refuses what the rules of the kind alone would let pass."""

import pytest

from app.errors import Mismatch
from app.rules.replay import Entry, Replay
from app.statements.kinds import CaseAssign
from app.statements.statement import leaf_of
from tests.app.rules.world import ORIGIN, with_judges


def test_a_statement_entered_twice_is_the_registrys_fault() -> None:
    world, ceremony = with_judges()
    ceremony.run()
    case_id = world.open_case("case")

    def assign(judge: str) -> CaseAssign:
        return CaseAssign(case_id=case_id, panel_id=ceremony.panel_id, presiding=world.id(judge))

    first = world.do("clerk", assign("judge1"))
    world.do("clerk", assign("judge2"))
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts)
    replay.extend(world.entries)
    again = Entry(index=len(world.entries), leaf=leaf_of(first, world.now), statement=first.text)
    with pytest.raises(Mismatch) as caught:
        replay.add(again)
    assert caught.value.code == "entered_twice"
