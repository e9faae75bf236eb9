"""A second verifier of proof files, written from docs/protocol.md alone: it imports nothing of the project.

It gives the number of the check that fails and the exit code, or None and 0. Standard library, and Ed25519 of
`cryptography`. Where this and `app.verify` disagree, the page is unclear or one of them is wrong.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ENVELOPE = ["aud", "kind", "iat", "exp", "jti", "seen"]
ITEM_SLOTS = ["name", "type", "size", "sha256", "parts"]
DEPOSIT_SLOTS = ["description", "origin"]
OFFICES = ["registrar", "clerk", "judge"]
DAY = 86_400


class Wrong(Exception):
    """A check failed: exit 1."""


class CannotTell(Exception):
    """Something is not known: exit 3."""


def need(condition: bool, what: str) -> None:
    if not condition:
        raise Wrong(what)


# Section 1: encodings. Section 2: keys.


def canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read_json(text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len(dict(pairs)) == len(pairs), "one key twice")
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Wrong(f"not JSON: {error}") from None
    need(
        canonical(value) == text and not re.search(r"[-:\[,][0-9]+[.eE]", re.sub(r'"(\\.|[^"\\])*"', '""', text)),
        "not canonical",
    )
    return value


def unb64(text: str) -> bytes:
    need(re.fullmatch(r"[A-Za-z0-9_-]*", text) is not None, "not base64url")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    need(b64(raw) == text, "another base64url")
    return raw


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64_standard(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise Wrong("not base64") from None
    need(base64.b64encode(raw).decode() == text, "another base64")
    return raw


def sha(data: bytes | str) -> bytes:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).digest()


def thumbprint(jwk: dict[str, str]) -> str:
    return b64(sha(canonical({"crv": "Ed25519", "kty": "OKP", "x": jwk["x"]})))


def signed_by(key: bytes, message: bytes, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        raise Wrong("a signature does not verify") from None


# Section 3: statements. Section 6: leaves, checkpoints, proofs.


@dataclass
class Statement:
    text: str
    kid: str
    payload: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.payload["kind"])

    @property
    def public(self) -> bool:
        if self.kind.startswith("member."):
            return self.payload["role"] in OFFICES
        return self.kind in ("genesis", "approval") or self.kind.startswith("panel.")

    def verify(self, jwk: dict[str, str]) -> None:
        need(thumbprint(jwk) == self.kid, "another key")
        message, _, signature = self.text.rpartition(".")
        signed_by(unb64(jwk["x"]), message.encode(), unb64(signature))


def read_statement(text: str) -> Statement:
    need(len(text) <= 131_072 and text.count(".") == 2 and text.isascii(), "not a compact JWS")
    header, payload, _ = (unb64(part) for part in text.split("."))
    head, body = read_json(header.decode()), read_json(payload.decode())
    need(list(head) == ["alg", "kid", "typ"], "header")
    need((head["alg"], head["typ"]) == ("Ed25519", "muniment-statement+jws"), "header")
    need(list(body)[:6] == ENVELOPE, "envelope")
    return Statement(text, head["kid"], body)


def check_leaf(text: str, statement: Statement) -> int:
    leaf = read_json(text)
    need(list(leaf) == ["v", "kind", "time", "digest"] and leaf["v"] == 1, "leaf")
    need(leaf["digest"] == sha(statement.text).hex(), "leaf of another statement")
    need(leaf["kind"] == (statement.kind if statement.public else "private"), "leaf of another kind")
    return int(leaf["time"])


@dataclass
class Policy:
    keys: dict[tuple[str, str], tuple[str, bytes, str]] = field(default_factory=dict)
    """(name, key id in hex) → (`log` or the witness's name, public key, type in hex)."""
    groups: list[tuple[str, int, list[str]]] = field(default_factory=list)
    quorum: str = "none"

    @classmethod
    def read(cls, text: str) -> "Policy":
        policy = cls()
        for line in text.splitlines():
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0] in ("log", "witness"):
                name, key_id, key = words[1 if words[0] == "log" else 2].split("+", 2)
                raw = unb64_standard(key)
                need(sha(name.encode() + b"\n" + raw)[:4].hex() == key_id, "key id")
                policy.keys[name, key_id] = ("log" if words[0] == "log" else words[1], raw[1:], raw[:1].hex())
            elif words[0] == "group":
                members = words[3:]
                k = {"all": len(members), "any": 1}.get(words[2]) or int(words[2])
                policy.groups.append((words[1], k, members))
            elif words[0] == "quorum":
                policy.quorum = words[1]
        return policy

    def met_by(self, names: set[str]) -> bool:
        for name, k, members in self.groups:
            if sum(each in names for each in members) >= k:
                names = names | {name}
        return self.quorum == "none" or self.quorum in names


@dataclass
class Place:
    index: int
    size: int
    root: bytes
    witnesses: set[str]
    unknown: list[str]


def read_place(text: str, leaf: str, origin: str, policy: Policy) -> Place:
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    need(lines[0] == "c2sp.org/tlog-proof@v1" and lines[1].startswith("index "), "tlog-proof")
    index, path = int(lines[1][6:]), [unb64_standard(line) for line in lines[2:]]
    need(str(index) == lines[1][6:] and len(path) <= 63, "tlog-proof")
    body, _, signatures = note.rpartition("\n\n")
    body += "\n"
    signature_lines = []
    for line in signatures[:-1].split("\n"):
        dash, name, encoded = line.split(" ")
        raw = unb64_standard(encoded)
        need(dash == "—", "signature line")
        signature_lines.append((name, raw[:4].hex(), raw[4:]))
    if not any(policy.keys.get((name, key_id), ("", b"", ""))[0] == "log" for name, key_id, _ in signature_lines):
        raise CannotTell("another log")
    fields = body.split("\n")
    need(len(fields) == 4 and fields[0] == origin and str(int(fields[1])) == fields[1], "checkpoint")
    place = Place(index, int(fields[1]), unb64_standard(fields[2]), set(), [])
    for name, key_id, signature in signature_lines:
        if (name, key_id) not in policy.keys:
            place.unknown.append(name)
            continue
        who, key, kind = policy.keys[name, key_id]
        if kind == "01":
            signed_by(key, body.encode(), signature)
        else:
            need(kind == "04", "this verifier knows no ML-DSA")
            time = int.from_bytes(signature[:8], "big")
            signed_by(key, f"cosignature/v1\ntime {time}\n{body}".encode(), signature[8:])
            place.witnesses.add(who)
    need(included(index, place.size, sha(b"\0" + leaf.encode()), path) == place.root, "inclusion")
    return place


def included(index: int, size: int, node: bytes, path: list[bytes]) -> bytes:
    """RFC 6962: the root that the path leads to."""
    need(0 <= index < size, "index")
    left = list(path)

    def climb(start: int, end: int) -> bytes:
        if end - start == 1:
            return node
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        need(bool(left), "the path is too short")
        sibling = left.pop()
        if index < middle:
            return sha(b"\1" + climb(start, middle) + sibling)
        return sha(b"\1" + sibling + climb(middle, end))

    root = climb(0, size)
    need(not left, "the path is too long")
    return root


# Section 8: the rules of members, as far as they found a signer.


@dataclass
class Members:
    origin: str
    genesis: str
    m: int = 0
    keys: dict[str, tuple[str, dict[str, str], bool]] = field(default_factory=dict)
    """Thumbprint → (`authority`, `other` or the member's id, key, retired)."""
    roles: dict[str, str] = field(default_factory=dict)
    """Active members."""
    waiting: dict[str, tuple[Statement, set[str]]] = field(default_factory=dict)

    def add(self, statement: Statement, index: int, now: int) -> None:
        body = statement.payload
        need(body["aud"] == self.origin, "wrong_ledger")
        if not self.keys:
            need(
                statement.kind == "genesis" and sha(statement.text).hex() == self.genesis and index == 0, "not_founded"
            )
            officer = body["registrar"]["key"]
            statement.verify(officer)
            self.m = body["authority"]["m"]
            holders = [("authority", key) for key in body["authority"]["keys"]]
            for who, key in [*holders, ("other", body["log"]), ("other", body["service"])]:
                self.join(key, who)
            self.join(officer, thumbprint(officer), "registrar")
            return
        need(statement.kid in self.keys, "unknown_signer")
        who, key, retired = self.keys[statement.kid]
        need(not retired, "retired_key")
        statement.verify(key)
        need(body["iat"] <= now + 300 and now < body["exp"], "times")
        need(0 < body["exp"] - body["iat"] <= 400 * DAY, "bad_validity")
        if statement.kind == "approval":
            need(who == "authority" and body["act"] in self.waiting, "approval")
            act, given = self.waiting[body["act"]]
            need(statement.kid not in given and len(given) < self.m, "approved before")
            given.add(statement.kid)
            if len(given) == self.m:
                self.effect(act)
            return
        if statement.kind == "member.identity":
            # Founds nobody: it says more of somebody who is here (section 8.2).
            need(self.roles.get(who) == "registrar" and self.roles.get(body["member"]) == body["role"], "identity")
            return
        own = statement.kind == "member.key" and body["member"] == who
        need(own or self.roles.get(who) == "registrar", "wrong_signer")
        if body["role"] in OFFICES and not own:
            self.waiting[sha(statement.text).hex()] = (statement, set())
        else:
            self.effect(statement)

    def join(self, key: dict[str, str], who: str, role: str = "") -> None:
        need(thumbprint(key) not in self.keys, "key_in_use")
        self.keys[thumbprint(key)] = (who, key, False)
        if role:
            self.roles[who] = role

    def effect(self, statement: Statement) -> None:
        body = statement.payload
        if statement.kind == "member.enrol":
            self.join(body["key"], thumbprint(body["key"]), body["role"])
            return
        need(statement.kind in ("member.key", "member.revoke"), "no signer is founded by this")
        need(self.roles.get(body["member"]) == body["role"], "member")
        for name, (who, key, _) in self.keys.items():
            if who == body["member"]:
                self.keys[name] = (who, key, True)
        if statement.kind == "member.key":
            self.join(body["key"], body["member"])
        else:
            del self.roles[body["member"]]


# Section 10: manifest. Section 12: the proof file.


def read_manifest(text: str) -> list[dict[str, Any]]:
    value = read_json(text)
    need(list(value) == ["format", "segment_bytes", "items"] and value["segment_bytes"] == 33_562_624, "manifest")
    for index, item in enumerate(value["items"]):
        need(list(item) == ["length", "root", "segments", "slots"], "item")
        need(len(item["segments"]) == max(1, -(-(item["length"] - 184) // 33_562_624)), "segments")
        hashes = [sha(b"\0" + bytes.fromhex(each)) for each in item["segments"]]
        while len(hashes) > 1:
            pairs = [sha(b"\1" + a + b) for a, b in zip(hashes[::2], hashes[1::2], strict=False)]
            hashes = pairs + (hashes[-1:] if len(hashes) % 2 else [])
        need(hashes[0].hex() == item["root"], "root")
        need((item["slots"] is None) == (index == 0), "slots")
    return list(value["items"])


def place_in_order(shown: dict[str, Any]) -> tuple[float, int]:
    names = DEPOSIT_SLOTS if shown["item"] is None else ITEM_SLOTS
    need(list(shown) == ["item", "slot", "disclosure"] and shown["slot"] in names and shown["item"] != 0, "disclosure")
    return (float("inf") if shown["item"] is None else shown["item"], names.index(shown["slot"]))


class Verifier:
    """The twelve checks."""

    def __init__(self, proof: bytes, trust: str, files: list[bytes]) -> None:
        self.data, self.files = proof, files
        self.trust = read_json(trust)
        self.policy = Policy.read(self.trust["policy"])
        self.roots: dict[int, bytes] = {}

    def run(self) -> tuple[int | None, int]:
        """(number of the check that fails or None, exit code)."""
        steps = [
            self.form,
            self.statement,
            self.leaf,
            self.place,
            self.lines,
            self.quorum,
            self.signers,
            self.signature,
            self.manifest,
            self.disclosures,
            self.anchors,
            self.given_files,
        ]
        for number, step in enumerate(steps, 1):
            try:
                step()
            except (Wrong, ValueError, KeyError, TypeError, IndexError, AttributeError):
                # What is not in its form shows itself in one of these; none of them is a verdict for the file.
                return number, 1
            except CannotTell:
                return number, 3
        return None, 0

    def form(self) -> None:
        self.proof = read_json(self.data.decode())
        keys = ["format", "statement", "disclosures", "leaf", "tlog_proof", "manifest", "signers", "anchors"]
        need(list(self.proof) == keys and self.proof["format"] == "muniment-proof/v1", "form")
        places = [place_in_order(each) for each in self.proof["disclosures"]]
        need(places == sorted(set(places)), "order of disclosures")
        need(len(self.proof["signers"]) > 0, "signers")

    def statement(self) -> None:
        self.deposit = read_statement(self.proof["statement"])
        need(self.deposit.kind == "deposit", "not_a_deposit")
        if self.deposit.payload["aud"] != self.trust["origin"]:
            raise CannotTell("other_ledger")

    def leaf(self) -> None:
        self.time = check_leaf(self.proof["leaf"], self.deposit)

    def placed(self, shown: dict[str, Any]) -> Place:
        place = read_place(shown["tlog_proof"], shown["leaf"], self.trust["origin"], self.policy)
        need(self.roots.setdefault(place.size, place.root) == place.root, "forked")
        return place

    def place(self) -> None:
        self.here = self.placed(self.proof)

    def lines(self, place: Place | None = None) -> None:
        if (place or self.here).unknown:
            raise CannotTell("unknown_signature_line")

    def quorum(self, place: Place | None = None) -> None:
        if not self.policy.met_by((place or self.here).witnesses):
            raise CannotTell("quorum_missing")

    def signers(self) -> None:
        members, last, before = Members(self.trust["origin"], self.trust["genesis"]), -1, 0
        for shown in self.proof["signers"]:
            statement = read_statement(shown["statement"])
            time, place = check_leaf(shown["leaf"], statement), self.placed(shown)
            self.lines(place)
            self.quorum(place)
            need(last < place.index < self.here.index, "out_of_order")
            need(before <= time, "back_dated")
            founding, last, before = not members.keys, place.index, time
            members.add(statement, place.index, time)
            if founding:
                self.founders(statement.payload)
        need(before <= self.time, "back_dated")
        need(self.deposit.kid in members.keys, "unknown_signer")
        who, self.key, retired = members.keys[self.deposit.kid]
        need(not retired and members.roles.get(who) == "depositor", "wrong_signer")

    def founders(self, genesis: dict[str, Any]) -> None:
        logs = [key for who, key, _ in self.policy.keys.values() if who == "log"]
        if genesis["authority"] != self.trust["authority"] or unb64(genesis["log"]["x"]) not in logs:
            raise CannotTell("trust_contradicts")

    def signature(self) -> None:
        self.deposit.verify(self.key)
        need(self.deposit.payload["iat"] - 300 <= self.time < self.deposit.payload["exp"], "bad_validity")

    def manifest(self) -> None:
        need(sha(self.proof["manifest"]).hex() == self.deposit.payload["manifest_hash"], "manifest_mismatch")
        self.items = read_manifest(self.proof["manifest"])

    def disclosures(self) -> None:
        self.digests = []
        for shown in self.proof["disclosures"]:
            index, slot = shown["item"], shown["slot"]
            need(index is None or index < len(self.items), "no such item")
            slots = self.deposit.payload["slots"] if index is None else self.items[index]["slots"]
            need(b64(sha(shown["disclosure"])) == slots[slot], "disclosure_mismatch")
            salt, value = read_json(unb64(shown["disclosure"]).decode())
            need(len(unb64(salt)) == 16, "salt")
            if slot == "size":
                need(184 + value + 16 * max(1, -(-value // 65_536)) == self.items[index]["length"], "size_mismatch")
            if slot == "sha256":
                self.digests.append(value)

    def anchors(self) -> None:
        if self.proof["anchors"]:
            raise CannotTell("unknown_anchor")

    def given_files(self) -> None:
        if self.files and not self.digests:
            raise CannotTell("not_disclosed")
        need(all(sha(each).hex() in self.digests for each in self.files), "file_differs")
