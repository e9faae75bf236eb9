"""Public openings for tests of the rules: of a deposit in the world, or of one that its depositor made malformed."""

from dataclasses import replace

from app.panels.capsule import GBAR, box_hash, box_of, capsule_statement, check_public, label, public_part
from app.panels.group import G, dec_elem
from app.panels.making.opening import make_opening
from app.panels.making.proof import prove
from app.panels.request import Release as PanelRelease
from app.panels.request import begin_release
from app.statements.kinds import ReleasePermit, ReleasePublish
from tests.app.panels.corrupt import secret
from tests.app.rules.world import Ceremony, Deposited, Release, World, fresh, scalar_of, sealed


def sealed_malformed(world: World, ceremony: Ceremony, case_id: bytes, name: str) -> Deposited:
    """A deposit whose capsule passes every public check, and whose box opens for nobody."""
    good = sealed(world, ceremony, case_id, name)
    claims = good.claims
    Y = bytes(ceremony.closed().record.Y)
    bound = label(Y, claims.deposit_id, case_id, claims.manifest_hash)
    joint, r, box = dec_elem(Y), secret(f"malformed {name}"), bytes(48)
    proof = prove(capsule_statement(joint, bound, r * G, r * GBAR, box_hash(box)), [r], fresh(f"malformed {name}", 32))
    ciphertext = b"\x01" + bytes(r * G) + bytes(r * GBAR) + proof + box
    public = public_part(ciphertext)
    capsule = replace(claims.capsules[0], public=public, ct_hash=check_public(Y, bound, public).ct_hash)
    return Deposited(claims=replace(claims, capsules=(capsule,)), secret=b"", box=box_of(ciphertext))


def panel_release(release: Release) -> PanelRelease:
    """What the contributions of a release are bound to."""
    assert release.request is not None
    record, claims = release.ceremony.closed().record, release.deposit.claims
    bound = label(bytes(record.Y), claims.deposit_id, release.case_id, claims.manifest_hash)
    return begin_release(record, bound, claims.capsules[0].public, release.request.claims.request)  # type: ignore[union-attr]


def released(release: Release, *judges: str) -> None:
    """Asked for, granted and contributed."""
    release.ask()
    for judge in judges:
        release.world.do(judge, release.grant(judge))
        release.world.do(judge, release.contribute(judge))


def permit(release: Release) -> ReleasePermit:
    assert release.request is not None
    return ReleasePermit(request=release.request.digest, document=fresh("publish.txt", 32), note=None)


def publication(release: Release, *judges: str, sk: str = "sk") -> ReleasePublish:
    """The recipient's public opening from these judges' contributions, in the order of their indices."""
    assert release.request is not None
    made = make_opening(
        panel_release(release),
        [release.contribution(judge) for judge in judges],
        sk=scalar_of(sk),
        rnd=fresh("opening", 32),
    )
    indices = tuple(release.ceremony.judges.index(judge) + 1 for judge in judges)
    return ReleasePublish(request=release.request.digest, indices=indices, opening=made, box=release.deposit.box)
