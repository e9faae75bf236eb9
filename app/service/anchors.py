"""The scheduler of anchors: the newest published checkpoint, stamped by others, and their word entered in the ledger.

A round begins when `every_seconds` have passed since the last one began and something other than anchors was entered
since (an anchor of anchors is no news). It asks every time-stamp authority and every calendar at once; whoever fails is
asked again with growing pauses, until enough have answered or a newer round has what this one lacks. Calendars are
asked whether Bitcoin has confirmed, and the block and its six successors must be the same at several sources.

Each token or proof is checked, kept, noted in the round, and named on the ledger, in this order. A death between two of
these leaves bytes that nobody names, or a name twice: both harm nobody. Several processes work on one round in turn.
Nothing here is waited for by whoever deposits, and no fault of anybody asked ends it.
"""

import asyncio
import contextlib
import hashlib
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import rfc3161_client

from app.errors import AppError, Unreachable
from app.service.accept import Door
from app.service.anchor_blocks import shown_headers
from app.service.anchor_http import AnchorHttp
from app.service.anchor_measures import LEDGER, SCHEDULER, source_label
from app.service.anchor_round import (
    GIVE_UP_SECONDS,
    KIND,
    LEASE_SECONDS,
    Obtained,
    Round,
    format_round,
    new_round,
    parse_round,
    pause_after,
)
from app.service.anchor_settings import AnchorTerms, CalendarPlace, TsaPlace
from app.service.anchor_store import AnchorStore, KeptAnchor
from app.service.history import History
from app.service.witnesses import Publication
from app.statements.kinds import Anchor
from app.statements.statement import Seen, Signer, parse_leaf
from ledger.anchors.ots import (
    MAX_REPLY_BYTES,
    Attested,
    complete_paths,
    format_proof,
    new_stamp,
    node_of,
    parse_proof,
    parse_reply,
    pending_of,
)
from ledger.anchors.stamped import parse_stamped, stamped_text
from ledger.anchors.token import MAX_TOKEN_BYTES
from ledger.anchors.tsa import verify_reply
from ledger.errors import LedgerError
from ledger.note import VerifierKey
from storage.errors import AlreadyExists, Conflict, StorageError
from storage.ports import Record, RecordStore

log = logging.getLogger("muniment.anchors")
REST_SECONDS = 5.0
KEPT_ROUNDS = 24
"""Rounds that are remembered after they are done, for whoever looks."""
MAX_PROMISES = 32
"""Promises of calendars that are followed up in one round."""
MAX_STAMP_BYTES = 60_000
VALID_SECONDS = 3600
_OTS = "application/vnd.opentimestamps.v1"
_FAULTS = (AppError, LedgerError, StorageError)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorStatus:
    """How anchoring goes, for operators and the portal. Times are Unix seconds."""

    size: int
    """Of the newest round's checkpoint; 0 before the first."""
    begun: int
    open: int
    """Rounds that still lack something."""
    timestamped_size: int
    """The largest checkpoint with enough time-stamps on the ledger, of those remembered."""
    anchored_size: int
    """The largest with a Bitcoin block."""
    failures: tuple[tuple[str, str, int, int], ...]
    """(source, problem, when last, how often in a row) of rounds that are open."""


class Anchoring:
    """One process's part in it. `step` does what is due now; `run` goes on for ever."""

    def __init__(
        self,
        terms: AnchorTerms,
        records: RecordStore,
        *,
        origin: str,
        log_key: VerifierKey,
        signer: Signer,
        door: Door,
        publication: Publication,
        history: History,
        clock: Callable[[], int],
        http: AnchorHttp | None = None,
    ) -> None:
        """`signer` is the service key, `clock` gives Unix seconds."""
        self.terms, self._records, self._origin, self._key = terms, records, origin, log_key
        self._signer, self._door, self._publication, self._history = signer, door, publication, history
        self._clock, self._http = clock, http or AnchorHttp()
        self.store = AnchorStore(records)
        self.failures: Counter[tuple[str, str]] = Counter()
        """By source (`anchor_measures.source_label`) and code, since this process began."""

    async def run(self, rest: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Step by step until it is cancelled; a fault is logged, and it goes on later."""
        await self._http.start()
        try:
            while True:
                try:
                    await self.step()
                except _FAULTS as error:
                    self._count(SCHEDULER, error)
                    log.warning("anchoring rests: %s: %s", error.code, error.message)
                except Exception as error:
                    self._count(SCHEDULER, error)
                    log.exception("anchoring rests: a fault")
                await rest(min(REST_SECONDS, self.terms.every_seconds, self.terms.upgrade_seconds))
        finally:
            await self._http.close()

    async def start(self) -> None:
        """Open what `step` needs, where `run` is not used."""
        await self._http.start()

    async def close(self) -> None:
        """Close it."""
        await self._http.close()

    async def step(self) -> None:
        """Begin a round if one is due, and work on every open one that is."""
        await self._begin()
        rounds = await self._rounds()
        for record, found in rounds:
            if not found.done and found.due <= self._clock():
                await self._work(record, found, rounds[-1][1])

    async def rounds(self) -> tuple[Round, ...]:
        """The rounds that are remembered, ascending; reads and changes nothing."""
        return tuple(parse_round(each.data) for each in (await self._records.page(KIND, limit=1000)))

    async def status(self) -> AnchorStatus:
        """How it goes."""
        rounds = [found for _, found in await self._rounds()]
        newest = rounds[-1] if rounds else None
        entered = [(each, {one.form for one in each.obtained if one.entered}) for each in rounds]
        stamped = [each.size for each in rounds if self._stamped(each)]
        return AnchorStatus(
            size=newest.size if newest else 0,
            begun=newest.begun if newest else 0,
            open=sum(not each.done for each in rounds),
            timestamped_size=max(stamped, default=0),
            anchored_size=max((each.size for each, forms in entered if "opentimestamps" in forms), default=0),
            failures=tuple(
                (failure.source, failure.problem, failure.at, failure.count)
                for each in rounds
                if not each.done
                for failure in each.failures
            ),
        )

    def _count(self, source: str, error: Exception) -> None:
        self.failures[source_label(self.terms, source), getattr(error, "code", "fault")] += 1

    # Rounds

    async def _rounds(self) -> list[tuple[Record, Round]]:
        """The open rounds and the newest, and a few that are done; older ones are forgotten."""
        page = await self._records.page(KIND, limit=1000)
        rounds = [(record, parse_round(record.data)) for record in page]
        for record, found in rounds[:-KEPT_ROUNDS]:
            if found.done:
                with contextlib.suppress(Conflict):  # another process was first
                    await self._records.delete(KIND, record.id, revision=record.revision)
        return [each for each in rounds[:-KEPT_ROUNDS] if not each[1].done] + rounds[-KEPT_ROUNDS:]

    async def _begin(self) -> None:
        now, last = self._clock(), await self._records.page(KIND, limit=1, reverse=True)
        before = parse_round(last[0].data) if last else None
        if before is not None and now < before.begun + self.terms.every_seconds:
            return
        text = stamped_text(self._publication.published.text, [self._key])
        checkpoint = parse_stamped(text, [self._key])
        if not await self._is_news(before.size if before is not None else 0, checkpoint.size):
            return
        made = new_round(size=checkpoint.size, root=checkpoint.root, checkpoint=text, now=now)
        with contextlib.suppress(AlreadyExists):  # another process began it
            await self._records.insert(KIND, made.id, format_round(made))
            log.info("anchoring the checkpoint of size %d", made.size)

    async def _is_news(self, start: int, end: int) -> bool:
        """Whether something other than anchors was entered; looked for from the end, where it mostly is."""
        for index in range(end - 1, start - 1, -1):
            if parse_leaf(await self._history.leaf(index)).kind != "anchor":
                return True
        return False

    async def _work(self, record: Record, found: Round, newest: Round) -> None:
        """Take the round, go on with it, write it back. Raises what the store raises."""
        claimed = replace(found, due=self._clock() + LEASE_SECONDS)
        try:
            revision = await self._records.replace(KIND, record.id, format_round(claimed), revision=record.revision)
        except Conflict:
            return  # another process has it
        keeper = _Keeper(self._records, claimed, revision)
        await self._enter(keeper)
        before = keeper.round
        await asyncio.gather(self._time_stamps(keeper, newest), self._calendars(keeper))
        await self._upgrade(keeper)
        await self._enter(keeper)
        await keeper.save(self._after(before, keeper.round, newest))

    def _after(self, before: Round, found: Round, newest: Round) -> Round:
        """The round as it is left: done, or due again."""
        now = self._clock()
        progress = (before.obtained, before.asked) != (found.obtained, found.asked)
        tries = 0 if progress else found.tries + 1
        missing = self._tsas_missing(found, newest)
        if missing or len(found.asked) < len(self._asked_of(found)):
            pause = pause_after(tries)
        elif found.failures:
            pause = max(self.terms.upgrade_seconds, pause_after(tries))
        else:
            pause = self.terms.upgrade_seconds
        block = not self.terms.calendars or bool(found.sources("opentimestamps"))
        given_up = now - found.begun > GIVE_UP_SECONDS
        if given_up and not block:
            log.error("the checkpoint of size %d was never confirmed by Bitcoin; a later one covers it", found.size)
        done = not missing and (block or given_up) and all(each.entered for each in found.obtained)
        return replace(found, due=now + pause, tries=tries, done=done)

    def _stamped(self, found: Round) -> bool:
        return (
            len([each for each in found.obtained if each.form == "rfc3161" and each.entered]) >= self.terms.tsa_quorum
        )

    def _tsas_missing(self, found: Round, newest: Round) -> tuple[TsaPlace, ...]:
        """Whom to ask for a time-stamp: nobody when there are enough, or when a newer round has them."""
        have = found.sources("rfc3161")
        if not self.terms.tsas or len(have) >= self.terms.tsa_quorum:
            return ()
        if newest.size > found.size and len(newest.sources("rfc3161")) >= self.terms.tsa_quorum:
            return ()
        return tuple(each for each in self.terms.tsas if each.name not in have)

    def _asked_of(self, found: Round) -> tuple[CalendarPlace, ...]:
        return () if found.sources("opentimestamps") else self.terms.calendars

    # Time-stamps

    async def _time_stamps(self, keeper: "_Keeper", newest: Round) -> None:
        await asyncio.gather(*(self._time_stamp(keeper, each) for each in self._tsas_missing(keeper.round, newest)))

    async def _time_stamp(self, keeper: "_Keeper", place: TsaPlace) -> None:
        message = keeper.round.checkpoint
        query = (
            rfc3161_client.TimestampRequestBuilder()
            .data(message)
            .hash_algorithm(rfc3161_client.HashAlgorithm.SHA256)
            .nonce(nonce=True)
            .cert_request(cert_request=True)
            .build()
        )
        try:
            reply = await self._http.post(
                place.url,
                query.as_bytes(),
                media="application/timestamp-query",
                accept="application/timestamp-reply",
                most=MAX_TOKEN_BYTES,
            )
            assert query.nonce is not None  # noqa: S101 - it was asked for
            token, _ = await asyncio.to_thread(
                verify_reply, reply, message, query.nonce, (place.authority,), now=self._clock()
            )
            await self._keep(keeper, place.name, "rfc3161", KeptAnchor(checkpoint=message, anchor=token, headers=None))
        except _FAULTS as error:
            self._count(place.name, error)
            keeper.fail(place.name, error, self._clock())

    # Calendars

    async def _calendars(self, keeper: "_Keeper") -> None:
        places = [each for each in self._asked_of(keeper.round) if each.url not in keeper.round.asked]
        await asyncio.gather(*(self._submit(keeper, each) for each in places))

    async def _submit(self, keeper: "_Keeper", place: CalendarPlace) -> None:
        digest = hashlib.sha256(keeper.round.checkpoint).digest()
        try:
            reply = await self._http.post(
                f"{place.url}/digest", digest, media="application/octet-stream", accept=_OTS, most=MAX_REPLY_BYTES
            )
            answer = _one_block(parse_reply(reply, digest), place.url)
            if not any(each.uri in place.addresses for each in pending_of(answer)) and not complete_paths(answer):
                raise Unreachable(f"{place.url} promised nothing under an address of its own")
            keeper.merge(digest, answer)
            keeper.round = replace(keeper.round, asked=(*keeper.round.asked, place.url)).succeeded(place.url)
        except _FAULTS as error:
            self._count(place.url, error)
            keeper.fail(place.url, error, self._clock())

    async def _upgrade(self, keeper: "_Keeper") -> None:
        """Ask calendars what has come of their promises, then look at the blocks that are attested."""
        found = keeper.round
        if not found.stamp or found.sources("opentimestamps"):
            return
        stamp = parse_proof(found.stamp)
        # All of them, also when a block is attested already: that attestation may be a lie.
        for pending in pending_of(stamp)[:MAX_PROMISES]:
            if pending.uri not in self.terms.addresses:
                continue  # anybody can write an address into a proof
            try:
                reply = await self._http.get(
                    f"{pending.uri}/timestamp/{pending.message.hex()}", most=MAX_REPLY_BYTES, accept=_OTS
                )
                node_of(stamp, pending.message).merge(_one_block(parse_reply(reply, pending.message), pending.uri))
                keeper.round = keeper.round.succeeded(pending.uri)
            except Unreachable as error:
                if error.code != "not_there":
                    self._count(pending.uri, error)
                    keeper.fail(pending.uri, error, self._clock())
            except (*_FAULTS, ValueError) as error:
                self._count(pending.uri, error)
                keeper.fail(pending.uri, error, self._clock())
        await self._confirm(keeper, complete_paths(stamp))

    async def _confirm(self, keeper: "_Keeper", paths: tuple[tuple[Attested, bytes], ...]) -> None:
        for attested, proof in paths:
            source = f"Bitcoin block {attested.height}"
            try:
                headers = await shown_headers(self._http, self.terms, attested)
                if headers is None:
                    continue  # six blocks have not followed yet
                kept = KeptAnchor(checkpoint=keeper.round.checkpoint, anchor=proof, headers=headers)
                await self._keep(keeper, source, "opentimestamps", kept)
                return
            except _FAULTS as error:
                self._count(source, error)
                keeper.fail(source, error, self._clock())

    # What has come

    async def _keep(self, keeper: "_Keeper", source: str, form: str, kept: KeptAnchor) -> None:
        await self.store.put(kept)
        made = Obtained(source=source, form=form, digest=kept.digest, entered=False)
        await keeper.save(replace(keeper.round, obtained=(*keeper.round.obtained, made)).succeeded(source))

    async def _enter(self, keeper: "_Keeper") -> None:
        """Name on the ledger what is kept and not named yet."""
        for each in keeper.round.obtained:
            if each.entered:
                continue
            now, found = self._clock(), keeper.round
            statement = self._signer.sign(
                Anchor(form="rfc3161" if each.form == "rfc3161" else "opentimestamps", anchor=each.digest),
                aud=self._origin,
                iat=now,
                exp=now + VALID_SECONDS,
                jti=secrets.token_bytes(16),
                seen=Seen(size=found.size, root=found.root),
            )
            try:
                await self._door.admit(statement)
            except _FAULTS as error:
                self._count(LEDGER, error)
                log.warning("the anchor %s cannot be entered now: %s", each.digest.hex(), error.message)
                continue
            log.info("anchor over size %d by %s is on the ledger", found.size, each.source)
            entered = tuple(replace(one, entered=one.entered or one == each) for one in keeper.round.obtained)
            await keeper.save(replace(keeper.round, obtained=entered))


def _one_block(answer: Any, source: str) -> Any:
    """A calendar's reply, if it attests at most one block: each is looked up at several places."""
    if len(complete_paths(answer)) > 1:
        raise Unreachable(f"{source} attests several blocks in one reply")
    return answer


class _Keeper:
    """A round that this process has taken, and where it is kept."""

    def __init__(self, records: RecordStore, found: Round, revision: int) -> None:
        self.round, self._records, self._revision = found, records, revision
        self._writing = asyncio.Lock()

    def fail(self, source: str, error: Exception, now: int) -> None:
        """Note what went wrong with a source, in the log when it is news."""
        problem = str(getattr(error, "message", error))
        known = {each.source: each.problem for each in self.round.failures}
        self.round = self.round.failed(source, problem, now)
        if known.get(source) != problem:
            log.warning("anchoring size %d: %s: %s", self.round.size, source, problem)

    def merge(self, digest: bytes, answer: Any) -> None:
        """Take a calendar's reply into the proof. Raises Unreachable when there is no room for it."""
        stamp = parse_proof(self.round.stamp) if self.round.stamp else new_stamp(digest)
        stamp.merge(answer)
        data = format_proof(stamp)
        if len(data) > MAX_STAMP_BYTES:
            raise Unreachable(f"the calendars' replies have more than {MAX_STAMP_BYTES} bytes together")
        self.round = replace(self.round, stamp=data)

    async def save(self, found: Round) -> None:
        """Write the round. Raises Conflict when another process took it over."""
        self.round = found
        async with self._writing:
            self._revision = await self._records.replace(
                KIND, found.id, format_round(self.round), revision=self._revision
            )
