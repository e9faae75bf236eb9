"""Levels: in order, none skipped that is asked for, and never back."""

from itertools import product

from ledger.anchors.growth import ORDER, Growth, Level, Step, grown

R, P, N = Step.REACHED, Step.PENDING, Step.NOT_ASKED
EVERY = [Growth(received=a, witnessed=b, timestamped=c, anchored=d) for a, b, c, d in product((R, P), Step, Step, Step)]


def test_the_way_up() -> None:
    way = [
        (Growth(), Level.NONE),
        (Growth(received=R), Level.RECEIVED),
        (Growth(received=R, witnessed=R), Level.WITNESSED),
        (Growth(received=R, witnessed=R, timestamped=R), Level.TIMESTAMPED),
        (Growth(received=R, witnessed=R, timestamped=R, anchored=R), Level.ANCHORED),
    ]
    assert [growth.level for growth, _ in way] == [level for _, level in way] == list(ORDER)


def test_a_step_that_is_asked_for_is_not_skipped() -> None:
    assert Growth(received=R, witnessed=R, timestamped=P, anchored=R).level is Level.WITNESSED
    assert Growth(received=R, witnessed=N, timestamped=N, anchored=R).level is Level.ANCHORED
    assert Growth(received=R, witnessed=N, timestamped=N, anchored=N).level is Level.RECEIVED


def test_nothing_that_is_reached_is_lost_on_the_way() -> None:
    for before, after in product(EVERY, EVERY):
        if grown(before, after) and all(
            (old is N) == (new is N) for (_, old), (_, new) in zip(before.steps, after.steps, strict=True)
        ):
            assert ORDER.index(after.level) >= ORDER.index(before.level)


def test_what_is_pending_is_said() -> None:
    assert Growth(received=R, witnessed=R, timestamped=P, anchored=N).pending == (Level.TIMESTAMPED,)
    assert not grown(Growth(received=R), Growth())
