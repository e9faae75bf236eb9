"""What a witness remembers: for each log the last checkpoint that it cosigned, and the requests that cannot be right.

    seen/<hex sha256(origin)>                       the checkpoint with its log's lines and ours
    evidence/<hex sha256(origin)>/fork/<digest>     proof of two trees; also doubt/<digest>: a proof that failed
    key/<key type>                                  the verifier keys that this memory belongs to

A cosignature leaves only after `seen` was replaced by compare-and-swap. A lost race is decided again on what the winner
left; a write whose outcome is unknown raises, nothing is answered, and the next request reads what stands.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

from app.canonical import format_json
from app.errors import Mismatch
from ledger.cosignature import Cosigner
from ledger.errors import DamagedLog, Malformed
from ledger.note import Note, VerifierKey
from ledger.witness import AddCheckpoint, Decision, decide, read_origin
from storage.errors import AlreadyExists, Conflict, Unavailable
from storage.ports import RecordStore

SEEN, EVIDENCE, KEY = "seen", "evidence", "key"
MAX_EVIDENCE = 1000
"""Kept for each log and sort. A fork's needs the log's own key; a doubt is one a checkpoint, whoever sends it."""
_TRIES = 16


class Witness:
    """Decides and remembers. Several, also in several processes, may share one memory."""

    def __init__(
        self,
        records: RecordStore,
        logs: Sequence[VerifierKey],
        cosigners: Sequence[Cosigner],
        clock: Callable[[], int],
    ) -> None:
        """`logs` are keys of type 0x01 named as their log's origin; `clock` gives Unix seconds."""
        self._records, self._clock = records, clock
        self._logs, self._cosigners = tuple(logs), tuple(cosigners)

    async def add_checkpoint(self, body: bytes) -> Decision:
        """Answer a request; what the answer says is stored when this returns.

        Raises what the store raises, and DamagedLog when what was remembered of that log cannot be read: without its
        memory a witness must not sign.
        """
        try:
            origin = read_origin(body)
        except Malformed:
            return decide(None, body, self._logs, self._cosigners, self._clock())
        for _ in range(_TRIES):
            record = await self._records.get(SEEN, origin_hash(origin))
            seen = None if record is None else _decoded(origin, record.data)
            try:
                decision = decide(seen, body, self._logs, self._cosigners, self._clock())
            except Malformed as error:
                raise _damaged(origin) from error
            if decision.cosigned is not None:
                try:
                    if record is None:
                        await self._records.insert(SEEN, origin_hash(origin), decision.cosigned.encode())
                    else:
                        data = decision.cosigned.encode()
                        await self._records.replace(SEEN, record.id, data, revision=record.revision)
                except (AlreadyExists, Conflict):
                    continue
            elif decision.evidence is not None and seen is not None:
                await self._keep(origin, decision, seen, body)
            return decision
        raise Unavailable(f"too many requests for {origin} at once", "Send the request again.")

    async def latest(self, hash_of_origin: str) -> str | None:
        """The last cosigned checkpoint of the log with this `origin_hash`, or None."""
        record = await self._records.get(SEEN, hash_of_origin)
        return None if record is None else record.data.decode()

    async def evidence(self, origin: str) -> tuple[bytes, ...]:
        """The kept evidence on a log, as JSON documents `{origin, reason, time, seen, request}`."""
        page = await self._records.page(EVIDENCE, prefix=f"{origin_hash(origin)}/", limit=MAX_EVIDENCE)
        return tuple(record.data for record in page)

    async def _keep(self, origin: str, decision: Decision, seen: str, body: bytes) -> None:
        sort = "fork" if decision.conclusive else "doubt"
        prefix = f"{origin_hash(origin)}/{sort}/"
        # By the tree that was signed: the rest of a request can be varied by anyone who passes it on.
        digest = sha256(Note.parse(AddCheckpoint.parse(body).checkpoint).text.encode()).hexdigest()
        document = {
            "origin": origin,
            "reason": decision.evidence,
            "time": self._clock(),
            "seen": seen,
            "request": body.decode(),
        }
        if len(await self._records.page(EVIDENCE, prefix=prefix, limit=MAX_EVIDENCE)) < MAX_EVIDENCE:
            try:
                await self._records.insert(EVIDENCE, prefix + digest, format_json(document).encode())
            except AlreadyExists:
                return


async def bind(records: RecordStore, cosigners: Sequence[Cosigner]) -> None:
    """Write into a new memory which keys it belongs to."""
    for cosigner in cosigners:
        await records.insert(KEY, f"{cosigner.key.type:02x}", cosigner.key.text.encode())


async def check_bound(records: RecordStore, cosigners: Sequence[Cosigner]) -> None:
    """Raise Mismatch unless the memory is that of these keys: with another's, or none, a witness may sign a fork."""
    for cosigner in cosigners:
        record = await records.get(KEY, f"{cosigner.key.type:02x}")
        if record is None or record.data != cosigner.key.text.encode():
            raise Mismatch(
                f"the witness's memory is not that of the key {cosigner.key.name} ({cosigner.key.key_id.hex()})",
                "Put the right files together again. Never give an old key a new memory: make a new witness instead.",
                code="other_memory",
            )


def origin_hash(origin: str) -> str:
    """Hex SHA-256 of an origin: its name in the monitoring path."""
    return sha256(origin.encode()).hexdigest()


def _decoded(origin: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _damaged(origin) from error


def _damaged(origin: str) -> DamagedLog:
    return DamagedLog(
        f"what this witness remembers of {origin} cannot be read",
        "Restore the newest copy of the memory, or retire this witness and make a new one with another name.",
    )
