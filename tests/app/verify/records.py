"""Releases in a `World` and their records: an honest one with everything in it, and what dishonest registries admit."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from app.client.leaves import Leaves
from app.client.record import Recorded, make_record
from app.client.session import State
from app.rules.act import Circumstances
from app.rules.aggregates import Case, Request
from app.rules.decide import Admitted, Refusal, decide
from app.rules.view import View, WholeView
from app.statements.kinds import DEFAULT_RULES, Approval, CaseRecuse, MemberRevoke, ReleaseObjection, ReleaseWithdraw
from app.statements.recordfile import RecordFile, parse_record_file
from app.statements.statement import Statement, digest_of, parse_statement
from app.statements.trust import Trust
from ledger.checkpoint import Checkpoint
from ledger.note import Note
from tests.app.client.world_service import checkpoint_of, trust_of
from tests.app.rules.test_erasures import erase, replayed_without
from tests.app.rules.world import Release, World, ready_to_release, sealed

DAY = 86_400
RULES = replace(DEFAULT_RULES, notice_seconds=3 * DAY, request_seconds=10 * DAY)


def state_of(world: World, size: int | None = None, reader: str = "lawyer1") -> State:
    """What a client that replayed the whole world holds."""
    entries = world.entries[:size]
    text = checkpoint_of(entries)
    return State(
        view=WholeView(world.view.aggregates.values()),
        checkpoint=Checkpoint.parse_body(Note.parse(text).text),
        signed=text,
        entries={each.index: each for each in entries},
        indices={digest_of(each.statement): each.index for each in entries},
        leaves=Leaves(each.leaf for each in entries),
        member=world.id(reader),
        taken_at=world.now,
    )


@dataclass
class Story:
    """A release with the places of its acts, by name."""

    release: Release
    said: dict[str, Statement]

    @property
    def world(self) -> World:
        return self.release.world

    @property
    def trust(self) -> Trust:
        return trust_of(self.world)

    def index(self, name: str) -> int:
        return next(each.index for each in self.world.entries if digest_of(each.statement) == self.said[name].digest)

    def make(self, trust: Trust | None = None, name: str = "request") -> Recorded:
        return make_record(state_of(self.world), self.said[name].digest, trust or self.trust)

    def record(self, name: str = "request") -> RecordFile:
        return parse_record_file(self.make(name=name).data)

    def without(self, record: RecordFile, *names: str) -> RecordFile:
        """The record as it would be if somebody left these acts out."""
        texts = {self.said[name].text for name in names}
        kept = tuple(each for each in record.entries if each.statement not in texts)
        assert len(kept) == len(record.entries) - len(names)
        return replace(record, entries=kept)


def begun(law: Any = decide) -> Story:
    """A panel of 2 of 3; lawyer2 asked once before, got one contribution and withdrew; then he asks again and lawyer1
    objects. The notice is over. Another case was opened meanwhile."""
    release = ready_to_release(RULES)
    world, said = release.world, dict[str, Statement]()
    said["order"] = release.order = world.do("judge1", release.order_claims())
    said["first"] = release.request = world.do("lawyer2", release.request_claims(release.message(sk="first")))
    world.now += 3 * DAY
    said["first grant"] = world.do("judge3", release.grant("judge3"))
    said["first contribution"] = world.do("judge3", release.contribute("judge3"))
    said["withdrawal"] = world.do("lawyer2", ReleaseWithdraw(request=said["first"].digest, note=None))
    said["request"] = release.request = world.do("lawyer2", release.request_claims())
    said["objection"] = world.do("lawyer1", ReleaseObjection(request=said["request"].digest, note=None))
    world.open_case("another")
    world.law = law
    return Story(release, said)


def told(law: Any = decide) -> Story:
    """The whole of it: judge2 refuses, judge1 and judge3 grant and contribute, lawyer2 is served and opens."""
    story = begun(law)
    release, world, said = story.release, story.world, story.said
    world.now += 3 * DAY
    said["refusal"] = world.do("judge2", release.refusal())
    for judge in ("judge1", "judge3"):
        said[f"grant {judge}"] = world.do(judge, release.grant(judge))
        said[f"contribution {judge}"] = world.do(judge, release.contribute(judge))
    said["access"] = world.do("service", release.access())
    said["opening"] = world.do("lawyer2", release.opening())
    world.open_case("later")
    return story


# Registries that break a rule


class _Blind:
    """A view through which a rule cannot be seen."""

    def __init__(self, view: View, alter: Callable[[Any], Any]) -> None:
        self._view, self._alter = view, alter

    def find(self, of: Any, id: str) -> Any:
        return self._alter(self._view.find(of, id))


def without_recusal(view: View, statement: Statement, circumstances: Circumstances) -> Admitted | Refusal:
    """The law of a registry that does not know recusals."""

    def alter(found: Any) -> Any:
        return replace(found, recused=()) if isinstance(found, Case) and statement.kind != "case.recuse" else found

    return decide(_Blind(view, alter), statement, circumstances)


def without_notice(view: View, statement: Statement, circumstances: Circumstances) -> Admitted | Refusal:
    """The law of a registry that gives the others no time to object."""

    def alter(found: Any) -> Any:
        return replace(found, opens_at=0) if isinstance(found, Request) else found

    return decide(_Blind(view, alter), statement, circumstances)


def recused_judge() -> Story:
    """judge3 is recused and contributes all the same."""
    story = begun(without_recusal)
    release, world = story.release, story.world
    world.now += 3 * DAY
    recusal = CaseRecuse(case_id=release.case_id, judge=world.id("judge3"), note=None)
    story.said["recusal"] = world.do("judge3", recusal)
    for judge in ("judge1", "judge3"):
        world.do(judge, release.grant(judge))
        world.do(judge, release.contribute(judge))
    return story


def early_grant() -> Story:
    """judge1 grants on the first day of the notice."""
    story = begun(without_notice)
    story.world.now += DAY
    story.world.do("judge1", story.release.grant("judge1"))
    return story


def erased_beside() -> tuple[Story, State]:
    """The order names two deposits; the other one is erased after this one was opened. What a client has then."""
    release = ready_to_release()
    world = release.world
    other = Release(world, release.ceremony, release.case_id, sealed(world, release.ceremony, release.case_id, "other"))
    world.do("lawyer1", other.deposit.claims)
    both = (release.deposit.claims.deposit_id, other.deposit.claims.deposit_id)
    release.order = world.do("judge1", replace(release.order_claims(), deposits=both))
    story = Story(release, {})
    story.said["request"] = release.request = world.do("lawyer2", release.request_claims())
    for judge in ("judge1", "judge3"):
        world.do(judge, release.grant(judge))
        world.do(judge, release.contribute(judge))
    world.do("service", release.access())
    world.do("lawyer2", release.opening())
    erase(other)
    view = replayed_without(world).view
    state = state_of(world)
    entries = {index: each for index, each in state.entries.items() if not _on(each.statement, both[1])}
    indices = {digest: index for digest, index in state.indices.items() if index in entries}
    return story, replace(state, view=view, entries=entries, indices=indices)


def _on(text: str, deposit_id: bytes) -> bool:
    return getattr(parse_statement(text).claims, "deposit_id", None) == deposit_id


def revoked_judge() -> Story:
    """judge2 is revoked while the request waits."""
    story = begun()
    world = story.world
    act = story.said["revocation"] = world.do("registrar", MemberRevoke(member=world.id("judge2"), role="judge"))
    for key in ("authority1", "authority2"):
        story.said[key] = world.do(key, Approval(act=act.digest))
    return story
