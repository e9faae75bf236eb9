"""What a verifier demands of a checkpoint: which logs, which witnesses, what quorum. C2SP tlog-policy.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <member>...
    quorum <name>|none

A checkpoint is valid under a policy when one of its logs signed it under its own origin and the quorum's witnesses
cosigned it. Stricter than C2SP in one place: one public key under a log and a witness is refused as well, for a log
that witnesses itself adds nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ledger.checkpoint import Checkpoint
from ledger.cosignature import COSIGNATURE_TYPES, verify_cosignature
from ledger.errors import BadSignature, LedgerError, Malformed, QuorumMissing
from ledger.note import KeyType, Note, SignatureLine, VerifierKey, verify_signature
from ledger.text import decode_decimal, encode_utf8

MAX_POLICY_BYTES = 1_000_000
NO_QUORUM = "none"

_SPACE = re.compile("[ \t]+")  # "ASCII space and tab characters only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A log that is believed: its key, whose name is the log's origin, and a URL or None."""

    key: VerifierKey
    url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A witness: its name in the policy, its key (type 0x04 or 0x06), and a URL or None."""

    name: str
    key: VerifierKey
    url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """At least `threshold` of `members`, which are names of witnesses and groups defined before."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """One verified cosignature: the witness's name in the policy and the time it claims, Unix seconds."""

    witness: str
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A checkpoint that a log of the policy signed. `quorum_met` says whether its witnesses suffice."""

    checkpoint: Checkpoint
    cosigners: tuple[Cosigned, ...]
    unknown_lines: tuple[SignatureLine, ...]
    """Lines of keys that the policy does not name; C2SP says to ignore them, and a strict caller can refuse them."""
    quorum_met: bool

    def demand_quorum(self) -> None:
        """Raise QuorumMissing unless the quorum is met."""
        if not self.quorum_met:
            names = ", ".join(cosigned.witness for cosigned in self.cosigners)
            who = f"only by {names}" if names else "by no witness of the policy"
            raise QuorumMissing(
                f"the checkpoint of size {self.checkpoint.size} of {self.checkpoint.origin} is cosigned {who}",
                "Ask the registry for a proof with more cosignatures, or wait until its witnesses have signed.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A parsed policy. Compare texts, not values, to know whether two people trust the same."""

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str
    """The name of a witness or group, or `none`."""

    @property
    def log(self) -> VerifierKey:
        """The key of the one log. Raises Malformed when the policy names none or several."""
        if len(self.logs) != 1:
            raise Malformed(f"the policy names {len(self.logs)} logs where exactly one is needed")
        return self.logs[0].key

    @property
    def origin(self) -> str:
        """The origin of the one log. Raises Malformed when the policy names none or several."""
        return self.log.name

    @classmethod
    def parse(cls, text: str) -> "Policy":
        """Read a policy. Raises Malformed (naming the line) or BadKey."""
        _check_characters(text)
        reader = _Reader()
        for number, line in enumerate(text[:-1].split("\n") if text else [], start=1):
            items = _SPACE.split(line.strip(" \t"))
            if items == [""] or items[0].startswith("#"):
                continue
            try:
                reader.read(items[0], items[1:])
            except LedgerError as error:
                raise type(error)(f"policy, line {number}: {error.message}", error.next_step) from error
        if reader.quorum is None:
            raise Malformed("the policy has no quorum line", "Add `quorum none` where no witness is demanded.")
        return cls(
            logs=tuple(reader.logs),
            witnesses=tuple(reader.witnesses),
            groups=tuple(reader.groups),
            quorum=reader.quorum,
        )

    def verify(self, signed: str) -> Verified:
        """Check a signed checkpoint against this policy, every line of a known key included.

        Raises Malformed, or BadSignature when a known key's line does not verify (the whole note is refused) or when no
        log of the policy signed under its own origin. A missing quorum is told in the result, not raised.
        """
        note = Note.parse(signed)
        checkpoint = Checkpoint.parse_body(note.text, allow_extensions=True)
        logs = {(log.key.name, log.key.key_id): log for log in self.logs}
        witnesses = {(witness.key.name, witness.key.key_id): witness for witness in self.witnesses}
        by_log = False
        times: dict[str, int] = {}
        unknown: list[SignatureLine] = []
        for line in note.signatures:
            log, witness = logs.get((line.name, line.key_id)), witnesses.get((line.name, line.key_id))
            if log is not None:
                verify_signature(log.key, note.text, line)
                by_log = by_log or log.key.name == checkpoint.origin
            elif witness is not None:
                time = verify_cosignature(witness.key, checkpoint, line)
                times.setdefault(witness.name, time)
            else:
                unknown.append(line)
        if not by_log:
            raise BadSignature(
                f"no log of the policy signed the checkpoint of {checkpoint.origin}",
                "Compare the log's key in your policy with the one that the registry publishes.",
            )
        return Verified(
            checkpoint=checkpoint,
            cosigners=tuple(Cosigned(witness=name, time=time) for name, time in times.items()),
            unknown_lines=tuple(unknown),
            quorum_met=self.is_met_by(frozenset(times)),
        )

    def is_met_by(self, witnesses: frozenset[str]) -> bool:
        """Answer whether cosignatures of these witnesses (names in the policy) meet the quorum."""
        met = {witness.name for witness in self.witnesses if witness.name in witnesses}
        for group in self.groups:  # members are defined before the group, so one pass in order is enough
            if sum(member in met for member in group.members) >= group.threshold:
                met.add(group.name)
        return self.quorum == NO_QUORUM or self.quorum in met


class _Reader:
    """Collects the lines of one policy; each rule of C2SP is checked where its line is read."""

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.witnesses: list[Witness] = []
        self.groups: list[Group] = []
        self.quorum: str | None = None
        self._names: set[str] = set()
        self._grouped: set[str] = set()
        self._public_keys: set[bytes] = set()
        self._key_ids: set[tuple[str, bytes]] = set()

    def read(self, word: str, items: list[str]) -> None:
        if word == "log" and len(items) in (1, 2):
            key = self._key(items[0], frozenset({KeyType.ED25519}), "a log's")
            self.logs.append(Log(key=key, url=_second(items)))
        elif word == "witness" and len(items) in (2, 3):
            name = self._new_name(items[0])
            key = self._key(items[1], COSIGNATURE_TYPES, "a witness's")
            self.witnesses.append(Witness(name=name, key=key, url=_second(items[1:])))
        elif word == "group" and len(items) >= 3:
            members = tuple(self._members(items[2:]))
            threshold = _threshold(items[1], len(members))
            self.groups.append(Group(name=self._new_name(items[0]), threshold=threshold, members=members))
        elif word == "quorum" and len(items) == 1:
            if self.quorum is not None:
                raise Malformed("a second quorum line")
            if items[0] != NO_QUORUM and items[0] not in self._names:
                raise Malformed(f"the quorum {items[0]!a} is not defined before")
            self.quorum = items[0]
        else:
            raise Malformed(f"not a line of a policy: {word!a} with {len(items)} items")

    def _key(self, text: str, types: frozenset[KeyType], whose: str) -> VerifierKey:
        key = VerifierKey.parse(text)
        if key.type not in types:
            raise Malformed(f"the key {key.name} has type 0x{key.type:02x}, which is not {whose}")
        if key.public_key in self._public_keys:
            raise Malformed(f"the public key of {key.name} stands in the policy twice")
        if (key.name, key.key_id) in self._key_ids:
            raise Malformed(f"two keys with the name {key.name} and the key id {key.key_id.hex()}")
        self._public_keys.add(key.public_key)
        self._key_ids.add((key.name, key.key_id))
        return key

    def _new_name(self, name: str) -> str:
        if name == NO_QUORUM:
            raise Malformed("the name 'none' is predefined")
        if name in self._names:
            raise Malformed(f"the name {name!a} is defined twice")
        self._names.add(name)
        return name

    def _members(self, names: list[str]) -> Iterator[str]:
        for name in names:
            if name not in self._names:
                raise Malformed(f"the member {name!a} is not defined before")
            if name in self._grouped:
                raise Malformed(f"{name!a} is a member twice, so it would count twice")
            self._grouped.add(name)
            yield name


def _threshold(text: str, members: int) -> int:
    if text in ("all", "any"):
        return members if text == "all" else 1
    threshold = decode_decimal(text, "the threshold of a group")
    if not 1 <= threshold <= members:
        raise Malformed(f"a threshold of {threshold} for {members} members")
    return threshold


def _second(items: list[str]) -> str | None:
    return items[1] if len(items) > 1 else None


def _check_characters(text: str) -> None:
    if len(encode_utf8(text, "a policy")) > MAX_POLICY_BYTES:
        raise Malformed(f"a policy of more than {MAX_POLICY_BYTES} bytes")
    for char in text:
        if (char < " " and char not in "\t\n") or char == "\x7f":
            raise Malformed(f"a policy holds the control character {char!a}")
    if text and not text.endswith("\n"):
        raise Malformed("the last line of the policy does not end in a newline")
