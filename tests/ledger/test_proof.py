"""tlog-proof files: read exactly, verified in the specification's steps, everything else refused."""

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.cosignature import Ed25519Cosigner
from ledger.errors import BadProof, BadSignature, LedgerError, Malformed
from ledger.merkle import inclusion_path, leaf_hash, node_hash, root_of
from ledger.note import NoteSigner
from ledger.policy import Policy
from ledger.proof import Proof

LOG = NoteSigner("ledger.example/notary", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
W1 = Ed25519Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64))))
POLICY = Policy.parse(f"log {LOG.key.text}\nwitness w1 {W1.key.text}\nquorum w1\n")
LEAVES = [leaf_hash(word.encode()) for word in ("deposit", "release", "third", "fourth", "fifth")]


def lookup(level: int, index: int) -> bytes:
    return root_of(LEAVES[index << level : (index + 1) << level])


def proof_of(index: int, size: int = 5, *, witnessed: bool = True) -> Proof:
    checkpoint = Checkpoint(origin=LOG.name, size=size, root=root_of(LEAVES[:size]))
    signed = sign_checkpoint(checkpoint, LOG) + (W1.cosign(checkpoint, 1679315147).text if witnessed else "")
    return Proof(index=index, path=inclusion_path(index, size, lookup), checkpoint=signed)


WORKED = """c2sp.org/tlog-proof@v1
index 0
Ym9ndXM=

ledger.example/notary
2
4rYJCl8W78l73h09Xr2d3Rc0TtrBn2w/HI0xIwpvjbo=

— ledger.example/notary mGyxCeJ/VKWgmyAZRNZ92O68PljFsRkXo2EEgk0cQPXmq0/RtTRBo19XxHdxCcb0sEyThK0Fb9gGY90eGJ3zDOm6Nw0=
— witness.example/w1 \
IDJKvgAAAABkGFDLkN2tms/eA7aVqmc3q0IE5Lg3LTZMMGuV01M1nV+YGGM4+6wy5mnNXcyD/lfOr6E077MTNAUPqe70EqadPYUnAQ==
"""


def test_a_proof_over_the_worked_checkpoint() -> None:
    text = proof_of(0, 2).format()
    sibling = text.split("\n")[2]
    assert text == WORKED.replace("Ym9ndXM=", sibling)
    verified = Proof.parse(text).verify(POLICY, leaf_hash(b"deposit"))
    assert (verified.index, verified.checkpoint.size, verified.quorum_met) == (0, 2, True)
    assert [(one.witness, one.time) for one in verified.cosigners] == [("w1", 1679315147)]
    with pytest.raises(Malformed):
        Proof.parse(WORKED)


def test_every_place_verifies_and_no_other_leaf_does() -> None:
    for size in range(1, 6):
        for index in range(size):
            proof = proof_of(index, size)
            assert Proof.parse(proof.format()) == proof
            assert proof.verify(POLICY, LEAVES[index]).index == index
            for other in [*LEAVES[:index], *LEAVES[index + 1 :], node_hash(LEAVES[0], LEAVES[1]), b"short"]:
                with pytest.raises(BadProof):
                    proof.verify(POLICY, other)


def test_a_missing_quorum_is_told_and_a_missing_log_refused() -> None:
    assert not proof_of(1, witnessed=False).verify(POLICY, LEAVES[1]).quorum_met
    stranger = NoteSigner(LOG.name, Ed25519PrivateKey.from_private_bytes(b"s" * 32))
    body = proof_of(1).checkpoint.split("\n\n")[0] + "\n"
    with pytest.raises(BadSignature):
        dataclasses.replace(proof_of(1), checkpoint=stranger.sign_note(body)).verify(POLICY, LEAVES[1])


def test_extra_is_refused_unless_allowed() -> None:
    proof = dataclasses.replace(proof_of(2), extra=b"anything")
    with pytest.raises(Malformed, match="extra"):
        Proof.parse(proof.format())
    assert Proof.parse(proof.format(), allow_extra=True) == proof
    assert Proof.parse(proof_of(2).format(), allow_extra=True).extra is None


GOOD = proof_of(3).format()


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD.replace("@v1", "@v2"),
        GOOD.replace("index 3", "index 03"),
        GOOD.replace("index 3", "index  3"),
        GOOD.replace("index 3", "index -1"),
        GOOD.replace("index 3", "index 9223372036854775807"),
        GOOD.replace("index 3", "index"),
        GOOD.replace("index 3\n", ""),
        GOOD.replace("index 3\n", "index 3\nindex 3\n"),
        GOOD.replace("index 3", "extra \nindex 3"),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("index 3\n", "index 3\n" + "A" * 43 + "=\n" * 1 + ("A" * 43 + "=\n") * 63),
        GOOD.replace("index 3\n", "index 3\n" + "A" * 44 + "\n"),
        GOOD.replace("index 3\n", "index 3\n\n"),
        GOOD[:-1],
        GOOD + "\n",
        GOOD.partition("\n\n")[0],
        " " + GOOD,
        "\ufeff" + GOOD,
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Proof.parse(text)


@given(
    st.text()
    | st.lists(st.sampled_from([*GOOD.splitlines(keepends=True), "\n", "index 1\n", "extra AA==\n"]), max_size=16).map(
        "".join
    )
)
def test_any_text_is_read_exactly_or_refused(text: str) -> None:
    try:
        proof = Proof.parse(text, allow_extra=True)
    except Malformed:
        return
    assert proof.format() == text


@given(st.data())
def test_one_flipped_bit_is_refused(data: st.DataObject) -> None:
    """A changed name or key id of the witness makes its line an unknown one: then the quorum is missing."""
    raw = bytearray(GOOD.encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        verified = Proof.parse(raw.decode()).verify(POLICY, LEAVES[3])
    except (LedgerError, UnicodeDecodeError):
        return
    assert not verified.quorum_met
    assert verified.unknown_lines
