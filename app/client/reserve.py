"""Reserve rosters: proposals, rosters and approvals signed beforehand, kept in a file, posted when a session failed.

One roster for each judge who may turn out to be the one to leave out. The file (`muniment-reserve/v1`, canonical JSON)
holds public statements alone and may lie anywhere; each is checked against the replayed ledger by whoever acts on it.
What is posted is decided by the same rules as if it had been signed just then: the newest cards, the newest proposal.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from app.canonical import format_json, parse_json
from app.client.acts import describe_roster
from app.client.duties import barred_members, names_of
from app.client.registrar import Opened, claims_of, close_session, open_session, propose, roster
from app.client.session import Client, State
from app.client.visit import lineage_of, panel_of, session_of
from app.errors import BadInput, Mismatch, Refused
from app.fields import Int, Many, Parsed, read_record, write_record
from app.rules.act import person_of
from app.rules.aggregates import KeyHolder, Panel, PendingAct, Proposal
from app.rules.view import WholeView
from app.statements.kinds import Approval, Digest, PanelPropose, PanelRoster
from app.statements.statement import MAX_STATEMENT_BYTES, Signer, Statement, parse_statement, verify_signature

VALID_SECONDS = 300 * 86_400
MAX_RESERVE_BYTES = 64 * 1024 * 1024


def _statement(text: str, what: str) -> str:
    if len(text) > MAX_STATEMENT_BYTES:
        raise BadInput(f"{what} is too long", "Take the file as it was written.", code="bad_field")
    parse_statement(text)
    return text


Jws = Annotated[str, Parsed(_statement)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRoster:
    """One roster that is ready: three sorts of statements, verbatim."""

    propose: Jws
    roster: Jws
    approvals: Annotated[tuple[Jws, ...], Many(most=31)]

    @property
    def proposal(self) -> PanelPropose:
        """What the proposal says; its kind was checked by the parser."""
        claims = parse_statement(self.propose).claims
        if not isinstance(claims, PanelPropose):
            raise _bad("a proposal is another statement")
        return claims

    @property
    def claims(self) -> PanelRoster:
        """What the roster says."""
        claims = parse_statement(self.roster).claims
        if not isinstance(claims, PanelRoster):
            raise _bad("a roster is another statement")
        return claims


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """A reserve file."""

    format: Literal["muniment-reserve/v1"] = "muniment-reserve/v1"
    panel_id: Digest
    epoch: Annotated[int, Int(1, 2**32 - 1)]
    rosters: Annotated[tuple[ReserveRoster, ...], Many(least=1, most=255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """A ceremony that goes on without some of its judges. `session` is None while the act waits for approval."""

    left_out: tuple[str, ...]
    """Member ids."""
    act: bytes
    session: Opened | None


def format_reserve(reserve: Reserve) -> str:
    """Return the file's text."""
    return format_json(write_record(reserve))


def parse_reserve(data: bytes) -> Reserve:
    """Read a reserve file; a final newline is allowed. Raises BadInput."""
    value = parse_json(data.removesuffix(b"\n"), what="the reserve file", max_bytes=MAX_RESERVE_BYTES)
    reserve = read_record(Reserve, value, "the reserve file")
    for each in reserve.rosters:
        proposal, claims = each.proposal, each.claims
        of = (reserve.panel_id, reserve.epoch)
        if (proposal.panel_id, proposal.epoch) != of or (claims.panel_id, claims.epoch) != of:
            raise _bad("a roster is for another panel or epoch than the file")
        digest = parse_statement(each.roster).digest
        for approval in map(parse_statement, each.approvals):
            if not isinstance(approval.claims, Approval) or approval.claims.act != digest:
                raise _bad("an approval is not one of its roster")
    return reserve


async def prepare(client: Client, panel_id: bytes, spare: str | None = None) -> Reserve:
    """Sign a reserve roster for each judge of the newest proposal, without him; nothing is posted (registrar).

    `spare` is the member who takes the place of him who is left out; he must have given a card for this epoch, for an
    earlier proposal say. Without one the panel has a judge less. Raises Refused (no_proposal, card_missing,
    too_few_judges).
    """
    state = await client.sync()
    panel = panel_of(state.view, panel_id)
    if panel.proposal is None:
        raise Refused(f"the panel {panel.id} has no open proposal", "Propose its judges first.", code="no_proposal")
    standing, made = panel.proposal, []
    added = () if spare is None or spare in standing.judges else (spare,)
    for judge in standing.judges:
        judges = tuple(each for each in standing.judges if each != judge) + added
        if len(judges) < standing.k:
            continue
        made.append(await _signed(client, state, panel, replace(standing, judges=judges)))
    if not made:
        raise Refused(
            f"the panel {panel.id} takes {standing.k} of {len(standing.judges)} judges: none may be left out",
            "Name a spare judge, who has given his card.",
            code="too_few_judges",
        )
    return Reserve(panel_id=panel_id, epoch=standing.epoch, rosters=tuple(made))


async def consent(client: Client, reserve: Reserve, seed: bytes, shown: Callable[[tuple[str, ...]], None]) -> Reserve:
    """Approve every roster of a reserve file with an authority's key (its 32-byte seed); nothing is posted.

    The lineage is verified first, and each roster against the ledger's newest cards. `shown` is told what each does,
    and may raise. Raises Refused (wrong_signer, roster_mismatch), Mismatch (bad_signature).
    """
    state, signer = await client.sync(), Signer(seed)
    if signer.public not in client.trust.authority.keys:
        raise Refused(
            f"the key {signer.kid} is none of the authority's in your trust file",
            "Name the file of an authority key.",
            code="wrong_signer",
        )
    panel = panel_of(state.view, reserve.panel_id)
    lineage_of(state.view, panel)
    rosters = []
    for each in reserve.rosters:
        _check(state.view, panel, each)
        shown(describe_roster(state.view, each.claims, _as_proposal(panel, each)))
        given = {parse_statement(text).kid for text in each.approvals}
        more: tuple[str, ...] = ()
        if signer.kid not in given:
            act = parse_statement(each.roster).digest
            more = ((await client.sign(Approval(act=act), valid_seconds=VALID_SECONDS, signer=signer)).text,)
        rosters.append(replace(each, approvals=(*each.approvals, *more)))
    return replace(reserve, rosters=tuple(rosters))


async def restart(
    client: Client, panel_id: bytes, reserve: Reserve | None = None, without: Sequence[str] = ()
) -> Restarted:
    """Go on without whoever was blamed in an attempt at this epoch, and without the members named (registrar).

    A session that is open is closed first when somebody is named. With a reserve file that was approved, everything is
    posted and the next session is open on return, as it is when the roster stays as it was approved (a reshare bars
    the dealer). Else the new roster waits for the authority, and `open_session` is the one step that is left. Safe to
    run again after an interruption.

    Raises Refused (session_open, nobody_to_leave_out, no_reserve, not_enough_approvals, …) and as the rules do.
    """
    state = await client.sync()
    panel = panel_of(state.view, panel_id)
    if panel.live is not None:
        live = session_of(state.view, panel.live)
        if not set(without) & {*live.judges, *live.dealers}:
            raise Refused(
                f"the panel {panel.id} has a session that is open, with nobody in it whom you leave out",
                "Wait for it, or name the judges to go on without.",
                code="session_open",
            )
    out = tuple(dict.fromkeys((*barred_members(state.view, panel), *without)))
    if not out:
        raise Refused(
            f"nobody was blamed in an attempt at the next epoch of the panel {panel.id}",
            "Name whom to leave out, or open another session with `panel open`.",
            code="nobody_to_leave_out",
        )
    chosen = _chosen(client, state, panel, reserve, out) if reserve is not None else None
    judges, k = _remaining(panel, out) if chosen is None else ((), 0)
    if panel.live is not None:
        await close_session(client, panel_id)
    if chosen is not None:
        return await _post(client, panel_id, chosen, out)
    if panel.proposal is None or judges != panel.proposal.judges:
        await propose(client, judges, k, panel_id)
    act = (await roster(client, panel_id)).digest
    found = (await client.sync()).view.find(PendingAct, act.hex())
    approved = found is not None and found.effective  # in a reshare the same roster goes on, and bars the dealer
    return Restarted(left_out=out, act=act, session=await open_session(client, panel_id) if approved else None)


def _remaining(panel: Panel, out: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """The newest proposal's judges without those left out, and its k. Raises Refused (no_proposal, too_few_judges)."""
    if panel.proposal is None:
        raise Refused(f"the panel {panel.id} has no open proposal", "Propose its judges.", code="no_proposal")
    judges, k = tuple(each for each in panel.proposal.judges if each not in out), panel.proposal.k
    if len(judges) < k:
        raise Refused(
            f"{len(judges)} judges would be left, and it takes {k}",
            "Propose the panel anew, with another judge in the place of whom you leave out.",
            code="too_few_judges",
        )
    return judges, k


def _chosen(client: Client, state: State, panel: Panel, reserve: Reserve, out: tuple[str, ...]) -> ReserveRoster:
    """The largest roster of the file that goes without all of them, checked."""
    if reserve.panel_id != panel.state.panel_id:
        raise Refused("the reserve file is for another panel", "Name the right file.", code="no_reserve")
    fitting = [each for each in reserve.rosters if not set(each.proposal.judges) & set(out)]
    if not fitting:
        names = ", ".join(names_of(state.view, out))
        raise Refused(
            f"no roster of the reserve file goes without {names}",
            "Restart without the file, and have the authority approve the roster.",
            code="no_reserve",
        )
    chosen = max(fitting, key=lambda each: len(each.proposal.judges))
    _check(state.view, panel, chosen)
    needed, given = client.trust.authority.m, {parse_statement(text).kid for text in chosen.approvals}
    if len(given) < needed:
        raise Refused(
            f"the reserve roster has {len(given)} approvals, and it takes {needed}",
            "Have the authority approve the reserve file, or restart without it.",
            code="not_enough_approvals",
        )
    return chosen


async def _post(client: Client, panel_id: bytes, chosen: ReserveRoster, out: tuple[str, ...]) -> Restarted:
    act = parse_statement(chosen.roster)
    for text in (chosen.propose, chosen.roster):
        await client.submit(parse_statement(text))
    for text in chosen.approvals:
        waiting = (await client.sync()).view.find(PendingAct, act.digest.hex())
        if waiting is None or not waiting.effective:
            await client.submit(parse_statement(text))
    return Restarted(left_out=out, act=act.digest, session=await open_session(client, panel_id))


async def _signed(client: Client, state: State, panel: Panel, standing: Proposal) -> ReserveRoster:
    for judge in standing.judges:
        person_of(state.view, judge, "judge")
    proposal = await client.sign(
        PanelPropose(
            panel_id=panel.state.panel_id,
            epoch=standing.epoch,
            prev_epoch_id=standing.prev_epoch_id,
            k=standing.k,
            judges=standing.judges,
        ),
        valid_seconds=VALID_SECONDS,
    )
    claims = claims_of(state.view, panel, replace(standing, digest=proposal.digest))
    signed = await client.sign(claims, valid_seconds=VALID_SECONDS)
    return ReserveRoster(propose=proposal.text, roster=signed.text, approvals=())


def _check(view: WholeView, panel: Panel, each: ReserveRoster) -> None:
    """The registrar signed both, and the roster is that of the proposal and the newest cards."""
    for statement in (parse_statement(each.propose), parse_statement(each.roster)):
        _by_registrar(view, statement)
    if claims_of(view, panel, _as_proposal(panel, each)) != each.claims:
        raise Refused(
            "a roster of the reserve file is not that of its proposal and the newest cards",
            "Have the reserve file made again.",
            code="roster_mismatch",
        )


def _as_proposal(panel: Panel, each: ReserveRoster) -> Proposal:
    claims = each.proposal
    current = panel.state.current
    expected = (current.epoch + 1, current.epoch_id) if current is not None else (1, bytes(32))
    if panel.proposal is None or (claims.epoch, claims.prev_epoch_id) != expected:
        raise Refused(
            f"the reserve file is for the epoch {claims.epoch}, which is not the next one of the panel {panel.id}",
            "Have it made again.",
            code="wrong_epoch",
        )
    digest = parse_statement(each.propose).digest
    return replace(panel.proposal, digest=digest, k=claims.k, judges=claims.judges)


def _by_registrar(view: WholeView, statement: Statement) -> None:
    holder = view.find(KeyHolder, statement.kid)
    if holder is None or holder.retired or holder.member is None:
        raise Mismatch("a reserve roster is signed by a key that does not count", "Have it made again.")
    person_of(view, holder.member, "registrar")
    verify_signature(statement, holder.key)


def _bad(problem: str) -> BadInput:
    return BadInput(f"the reserve file: {problem}", "Take the file as it was written.", code="bad_reserve")


def left_out(view: WholeView, reserve: Reserve) -> Iterator[tuple[str, ...]]:
    """Whose roster each is, by the members of the newest proposal whom it goes without."""
    panel = panel_of(view, reserve.panel_id)
    standing = panel.proposal.judges if panel.proposal is not None else ()
    for each in reserve.rosters:
        yield tuple(judge for judge in standing if judge not in each.proposal.judges)
