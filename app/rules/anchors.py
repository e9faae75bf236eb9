"""Anchors on the ledger: the service names by hash what others vouch for, so that it cannot vanish."""

from collections.abc import Iterator

from app.rules.act import Act, refuse
from app.rules.aggregates import Aggregate
from app.statements.kinds import Anchor


def anchor(act: Act[Anchor]) -> Iterator[Aggregate]:
    """The service notes an anchor over the checkpoint that it names as `seen`. Nothing of the registry's state changes.

    The rules do not see the anchor's bytes: whoever verifies a proof judges them, under his own trust file.
    """
    if act.holder.holder != "service":
        raise refuse("wrong_signer", "an anchor statement is signed by the service key")
    if act.statement.envelope.seen.size == 0:
        raise refuse("nothing_anchored", "the checkpoint of the empty ledger anchors nothing")
    yield from ()
