"""Writes tests/vectors/protocol/acts.json: `python -m tests.docs.make_act_vectors`. Fixed seeds, real code.

A second ledger, in which deposits meet what comes after them. Its form is that of history.json.
"""

import json
from dataclasses import replace
from typing import Any

from app.fields import read_record
from app.rules.aggregates import Person, Trail
from app.rules.deposits import trail_id
from app.statements.kinds import (
    Anchor,
    CaseDelegate,
    CaseUndelegate,
    DepositAcknowledge,
    DepositSupersede,
    DepositWithdraw,
    Erase,
    HoldLift,
    HoldPlace,
    MemberDevice,
    MemberIdentity,
    MemberKey,
    MemberUndevice,
    PanelClose,
    PanelDestroy,
)
from app.statements.statement import EMPTY_SEEN, Seen
from tests.app.rules import world as worlds
from tests.app.rules.publishing import permit, publication, released, sealed_malformed
from tests.app.rules.world import Ceremony, Release, fresh, ready_to_release, sealed
from tests.docs.make_protocol_vectors import FOLDER, NOTES_IDENTITY, Story


def role_of(world: worlds.World, name: str) -> Any:
    """The role of somebody in the world."""
    found = world.view.find(Person, world.id(name))
    assert found is not None
    return found.role


class Acts(Story):
    """A panel 2 of 3, a case of two lawyers, and what becomes of the deposits in it."""

    def __init__(self) -> None:
        self.refusals: list[dict[str, Any]] = []
        self.release: Release = ready_to_release()
        self.world = self.release.world
        self.count_time()
        self._identities()
        self._destroying()
        self._delegations()
        self._devices()
        self._mistakes()
        self._publications()
        self._anchors()
        self._erasures()

    def _identities(self) -> None:
        world = self.world
        value = json.loads((FOLDER / "identity.json").read_text())
        claims = read_record(MemberIdentity, value, "claims")
        self.refuse("a clerk identifies", "clerk", claims)
        self.refuse("a member in another role", "registrar", replace(claims, role="party"))
        other = replace(claims, member=world.id("lawyer2"), role=role_of(world, "lawyer2"))
        self.refuse("another member's certificate", "registrar", other)
        self.refuse("another algorithm", "registrar", replace(claims, algorithm="rsa-pss-sha256"))
        self.refuse("a chain out of order", "registrar", replace(claims, certificates=claims.certificates[::-1]))
        self.refuse("nothing about revocation", "registrar", replace(claims, ocsp=(), crls=()))
        world.do("registrar", claims)

    def _destroying(self) -> None:
        world, ceremony = self.world, self.release.ceremony
        live = ceremony.session().session
        self.refuse("a judge destroys what he needs", "judge1", PanelDestroy(session=live))
        spare = Ceremony(world=world, judges=worlds.JUDGES, k=2, panel_id=fresh("spare panel", 32))
        spare.until_open()
        ended = spare.session().session
        world.do("registrar", PanelClose(session=ended))
        self.refuse("a card that stands in the newest proposal", "judge1", PanelDestroy(session=ended))
        replace(spare, judges=worlds.JUDGES[1:]).propose()
        self.refuse("somebody who is no judge of it", "clerk", PanelDestroy(session=ended))
        world.do("judge1", PanelDestroy(session=ended))
        self.refuse("a second word on one card", "judge1", PanelDestroy(session=ended))

    def _delegations(self) -> None:
        world, case_id = self.world, self.release.case_id
        world.enrol("staff", "depositor")
        until = world.now + 86_400
        given = CaseDelegate(
            case_id=case_id, delegate=world.id("staff"), scope=("read", "deposit"), until=until, note=None
        )
        mine = sealed(world, self.release.ceremony, case_id, "by staff").claims
        self.refuse("staff deposits without a delegation", "staff", mine)
        self.refuse("a party lets others deposit", "lawyer2", given)
        self.refuse("a delegation without an end", "lawyer1", replace(given, until=until + 500 * 86_400))
        world.do("lawyer1", given)
        world.do("staff", mine)
        self.refuse("a delegate passes it on", "staff", replace(given, delegate=world.id("lawyer2")))
        world.do("lawyer1", CaseUndelegate(case_id=case_id, delegate=world.id("staff")))
        self.refuse("a delegation is ended twice", "lawyer1", CaseUndelegate(case_id=case_id, delegate=given.delegate))

    def _devices(self) -> None:
        world = self.world
        laptop = world.signer("laptop")
        given = MemberDevice(member=world.id("lawyer2"), role="party", key=laptop.public, notes=worlds.NOTES)
        self.refuse("a registrar names a device", "registrar", given)
        world.do("lawyer2", given)
        self.refuse("a key in use as a device", "lawyer2", given)
        taken = MemberKey(member=given.member, role="party", key=world.signer("thief").public, notes=worlds.NOTES)
        self.refuse("a device replaces its member's key", "laptop", taken)
        gone = MemberUndevice(member=given.member, role="party", key=laptop.kid)
        world.do("lawyer2", gone)
        self.refuse("a device is retired twice", "lawyer2", gone)

    def _mistakes(self) -> None:
        world, release = self.world, self.release
        first = release.deposit.claims.deposit_id
        made = [sealed(world, release.ceremony, release.case_id, name).claims for name in ("newer", "mistake")]
        for claims in made:
            world.do("lawyer1", claims)
        newer, mistake = (each.deposit_id for each in made)
        self.refuse("a depositor acknowledges his own", "lawyer1", DepositAcknowledge(deposit_id=first))
        self.refuse("a stranger to the case acknowledges", "registrar", DepositAcknowledge(deposit_id=first))
        world.do("clerk", DepositAcknowledge(deposit_id=first))
        withdrawal = DepositWithdraw(deposit_id=first, note=None)
        self.refuse("a second acknowledgement", "clerk", DepositAcknowledge(deposit_id=first))
        self.refuse("another party withdraws", "lawyer2", withdrawal)
        self.refuse("a deposit that the clerk acknowledged is withdrawn", "lawyer1", withdrawal)
        world.do("lawyer1", DepositSupersede(deposit_id=first, by=newer, note=None))
        circle = DepositSupersede(deposit_id=newer, by=first, note=None)
        self.refuse("a circle of deposits", "lawyer1", circle)
        self.refuse("a deposit in its own place", "lawyer1", DepositSupersede(deposit_id=newer, by=newer, note=None))
        world.do("lawyer1", DepositWithdraw(deposit_id=mistake, note=None))
        order = release.order_claims()
        self.refuse("a withdrawn deposit is ordered opened", "judge1", replace(order, deposits=(mistake,)))

    def _publications(self) -> None:
        world, release = self.world, self.release
        released(release, "judge1", "judge3")
        claims = publication(release, "judge1", "judge3")
        self.refuse("a key is published without a permission", "lawyer2", claims)
        self.refuse("another judge permits", "judge2", permit(release))
        world.do("judge1", permit(release))
        self.refuse("a second permission", "judge1", permit(release))
        self.refuse("another box", "lawyer2", replace(claims, box=bytes(48)))
        self.refuse("contributions that were not made", "lawyer2", replace(claims, indices=(1, 2)))
        world.do("lawyer2", claims)
        self.refuse("a second publication", "lawyer2", claims)
        bad = sealed_malformed(world, release.ceremony, release.case_id, "malformed")
        world.do("lawyer1", bad.claims)
        spoilt = replace(release, deposit=bad, order=None, request=None)
        released(spoilt, "judge1", "judge3")
        world.do("lawyer2", publication(spoilt, "judge1", "judge3"))

    def _anchors(self) -> None:
        world = self.world
        claims = Anchor(form="rfc3161", anchor=worlds.fresh("token", 32))
        self.refuse("the registrar anchors", "registrar", claims)
        self.refuse("an anchor over nothing", "service", claims, seen=EMPTY_SEEN)
        self.refuse("an anchor over another ledger", "service", claims, seen=Seen(size=3, root=bytes(32)))
        world.do("service", claims)
        stamped = world.seen_now()
        world.now += 30 * 86_400  # a calendar came back after a month
        world.do("service", Anchor(form="opentimestamps", anchor=worlds.fresh("proof", 32)), seen=stamped)

    def _erasures(self) -> None:
        """The deposit that was opened in public is erased; the entries stay in this file, so that both can be tried."""
        world, release = self.world, self.release
        trail = world.view.find(Trail, trail_id(release.deposit.claims.deposit_id))
        assert trail is not None
        claims = Erase(
            deposit=bytes.fromhex(trail.id), entries=trail.entries, reason="in a vector", document=fresh("erase", 32)
        )
        self.refuse("a clerk erases", "clerk", claims)
        self.refuse("a request is left behind", "registrar", replace(claims, entries=claims.entries[:1]))
        hold = world.do("clerk", HoldPlace(deposit_id=release.deposit.claims.deposit_id, note=None)).digest
        held = replace(claims, entries=(*claims.entries, len(world.entries) - 1))
        self.refuse("a deposit under a hold is erased", "registrar", held)
        world.do("clerk", HoldLift(deposit_id=release.deposit.claims.deposit_id, hold=hold, note=None))
        act = world.do("registrar", replace(held, entries=(*held.entries, len(world.entries) - 1)))
        world.approve(act)
        self.refuse("a second erasure", "registrar", held)
        self.refuse("an order of what was erased", "judge1", release.order_claims())
        self.refuse("its id again", "lawyer1", release.deposit.claims)


def main() -> None:
    """Write the file."""
    before = worlds.NOTES
    worlds.NOTES = NOTES_IDENTITY.recipient.format()
    try:
        made = Acts().to_json()
    finally:
        worlds.NOTES = before
    (FOLDER / "acts.json").write_text(json.dumps(made, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
