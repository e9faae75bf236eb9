"""Places in the life of a panel 3 of 5 whose judge4 and judge5 are corrupt: what the adversary's tests begin at."""

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from app.panels.capsule import label
from app.panels.request import Release as PanelRelease
from app.panels.request import begin_release
from app.rules.aggregates import Panel, Session
from app.rules.view import WholeView
from app.statements.kinds import CaseAssign, ReleaseContribution, ReleaseDecision
from tests.app.rules.world import Ceremony, Release, World, peopled, sealed

FIVE = ("judge1", "judge2", "judge3", "judge4", "judge5")
LATER = ("judge2", "judge3", "judge6", "judge5")
Said = tuple[str, Any]
"""Who signs, and what he claims."""


@dataclass
class Stage:
    """A place in a panel's life; `second` is the reshare to judges of whom judge5 is corrupt."""

    world: World
    first: Ceremony
    second: Ceremony
    release: Release

    @property
    def panel(self) -> Panel:
        found = self.world.view.find(Panel, self.first.panel_id.hex())
        assert found is not None
        return found

    def session(self, ceremony: Ceremony) -> Session:
        found = self.world.view.find(Session, ceremony.session().session.hex())
        assert found is not None
        return found

    def copy(self) -> "Stage":
        """The same place, to go its own way from here."""
        world = replace(
            self.world, entries=list(self.world.entries), view=WholeView(self.world.view.aggregates.values())
        )
        first = replace(self.first, world=world)
        second = replace(self.second, world=world, previous=first)
        at = second if self.release.ceremony is self.second else first
        return Stage(world=world, first=first, second=second, release=replace(self.release, world=world, ceremony=at))

    def finish(self) -> None:
        """k honest judges grant and contribute, the recipient is served and opens."""
        for judge in self.release.ceremony.judges[:3]:
            self.world.do(judge, self.release.grant(judge))
            self.world.do(judge, self.release.contribute(judge))
        self.world.do("service", self.release.access())
        self.world.do("lawyer2", self.release.opening())

    def asked_again(self, *, recipient: str = "lawyer2", deposit: Any = None, sk: str = "sk2") -> Release:
        """Another order and request in the same case."""
        later = replace(self.release, deposit=deposit or self.release.deposit)
        claims = replace(later.order_claims(), recipients=(self.world.signer(recipient).public,))
        later.order = self.world.do("judge1", claims)
        message = later.message(name=recipient, sk=sk)
        later.request = self.world.do(recipient, later.request_claims(message))
        return later


@cache
def made(name: str) -> Stage:
    """The stages, each from the one before it."""
    if name == "opened session":
        world = peopled()
        for judge in (*FIVE, "judge6"):
            world.enrol(judge, "judge")
        first = Ceremony(world=world, judges=FIVE, k=3)
        first.until_open()
        for judge in FIVE[:3]:
            world.do(judge, first.deal(judge))
        second = Ceremony(world=world, judges=LATER, k=3, previous=first, dealers=("judge1", "judge4", "judge5"))
        nothing: Any = None
        return Stage(world=world, first=first, second=second, release=Release(world, first, b"", nothing))
    before = {
        "all dealt": "opened session",
        "certified": "all dealt",
        "asked": "certified",
        "resharing": "certified",
        "reshared": "resharing",
    }[name]
    stage = made(before).copy()
    world, first, second = stage.world, stage.first, stage.second
    if name == "all dealt":
        for judge in FIVE[3:]:
            world.do(judge, first.deal(judge))
    elif name == "certified":
        for judge in FIVE:
            world.do(judge, first.ack(judge))
        case_id = world.open_case("case", "lawyer1", "lawyer2")
        world.do("clerk", CaseAssign(case_id=case_id, panel_id=first.panel_id, presiding=world.id("judge1")))
        deposit = sealed(world, first, case_id)
        world.do("lawyer1", deposit.claims)
        stage.release = Release(world, first, case_id, deposit)
    elif name == "asked":
        stage.release.ask()
        world.do("judge4", stage.release.grant("judge4"))
        world.do("judge4", stage.release.contribute("judge4"))
    elif name == "resharing":
        second.until_open()
        world.do("judge1", second.deal("judge1"))
    elif name == "reshared":
        for judge in second.dealers[1:]:
            world.do(judge, second.deal(judge))
        for judge in LATER:
            world.do(judge, second.ack(judge))
        stage.release.ceremony = second
    return stage


def granted(stage: Stage, judge: str, asked: Release, message: bytes) -> Said:
    """The judge grants exactly this message, so that only the message itself can be refused."""
    assert asked.request is not None
    digest = hashlib.sha256(message).digest()
    claims = ReleaseDecision(request=asked.request.digest, decision="grant", contribution=digest, note=None)
    stage.world.do(judge, claims)
    return judge, ReleaseContribution(request=asked.request.digest, contribution=message)


def panel_release(stage: Stage) -> PanelRelease:
    asked, record = stage.release, stage.release.ceremony.closed().record
    claims = asked.deposit.claims
    bound = label(bytes(record.Y), claims.deposit_id, asked.case_id, claims.manifest_hash)
    assert asked.request is not None
    request: Any = asked.request.claims
    return begin_release(record, bound, claims.capsules[0].public, request.request)
