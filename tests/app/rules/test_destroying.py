"""A judge's word that he destroyed: after his card is over, once, and by himself."""

from dataclasses import replace

import pytest

from app.rules.aggregates import Destroyed
from app.rules.destroying import card_key
from app.statements.kinds import PanelClose, PanelDestroy
from tests.app.rules.stages import FIVE, Stage, made
from tests.app.rules.world import fresh


@pytest.fixture
def stage() -> Stage:
    """judge1 to judge5 handed over to others; the first session is that of an epoch with a successor."""
    return made("reshared").copy()


def word(stage: Stage) -> PanelDestroy:
    return PanelDestroy(session=stage.first.session().session)


def test_judges_of_an_ended_epoch_say_so_once(stage: Stage) -> None:
    world = stage.world
    for judge in FIVE:
        world.do(judge, word(stage))
        key = card_key(stage.first.raw_cards()[FIVE.index(judge)])
        found = world.view.find(Destroyed, key)
        assert found is not None
        assert found.judge == world.id(judge)
        assert world.refused(judge, word(stage)) == "already_destroyed"


def test_an_adversary_does_not_give_it_for_others_or_too_early(stage: Stage) -> None:
    world = stage.world
    for signer in ("clerk", "registrar", "lawyer1", "service"):
        assert world.refused(signer, word(stage)) == "wrong_signer"
    stranger = next(each for each in ("judge6",) if each not in FIVE)
    assert world.refused(stranger, word(stage)) == "not_on_panel"
    assert world.refused("judge1", PanelDestroy(session=fresh("?", 32))) == "wrong_session"
    current = stage.second.session().session
    for judge in stage.second.judges:
        assert world.refused(judge, PanelDestroy(session=current)) == "card_in_use"
    world.do("judge1", word(stage))


def test_before_the_successor_is_certified_nobody_may_say_so() -> None:
    stage = made("resharing").copy()
    assert stage.world.refused("judge1", word(stage)) == "card_in_use"


def test_of_an_aborted_session_once_no_other_can_be_held_on_its_cards() -> None:
    stage = made("resharing").copy()
    world, second = stage.world, stage.second
    aborted = PanelDestroy(session=second.session().session)
    judge = second.judges[0]
    assert world.refused(judge, aborted) == "card_in_use"
    world.do("registrar", PanelClose(session=aborted.session))
    assert world.refused(judge, aborted) == "card_in_use"  # the roster stands: it could be tried again
    replace(second, judges=second.judges[1:]).propose()  # without him
    world.do(judge, aborted)
    assert world.refused(second.judges[1], aborted) == "card_in_use"  # whose card counts for the newer proposal
