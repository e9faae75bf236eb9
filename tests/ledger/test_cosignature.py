"""Witness cosignatures: the worked one byte for byte, both algorithms, every changed field refused."""

import dataclasses
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint
from ledger.cosignature import Cosigner, Ed25519Cosigner, MLDSA44Cosigner, signed_message, verify_cosignature
from ledger.errors import BadSignature, Malformed
from ledger.merkle import leaf_hash, root_of
from ledger.note import KeyType, Note, NoteSigner, SignatureLine, VerifierKey

CHECKPOINT = Checkpoint(
    origin="ledger.example/notary", size=2, root=root_of([leaf_hash(b"deposit"), leaf_hash(b"release")])
)
TIME = 1679315147
W1 = Ed25519Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64))))
W2 = MLDSA44Cosigner("witness.example/w2", MLDSA44PrivateKey.from_seed_bytes(bytes(range(32))))
WORKED = (
    "— witness.example/w1 "
    "IDJKvgAAAABkGFDLkN2tms/eA7aVqmc3q0IE5Lg3LTZMMGuV01M1nV+YGGM4+6wy5mnNXcyD/lfOr6E077MTNAUPqe70EqadPYUnAQ==\n"
)


def test_the_worked_cosignature() -> None:
    assert W1.key.text == "witness.example/w1+20324abe+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
    assert W1.cosign(CHECKPOINT, TIME).text == WORKED
    assert verify_cosignature(W1.key, CHECKPOINT, SignatureLine.parse(WORKED[:-1])) == TIME


def test_the_message_of_ml_dsa_is_the_structure_of_the_specification() -> None:
    assert signed_message(W2.key, CHECKPOINT, TIME) == (
        b"subtree/v1\n\x00"
        b"\x12witness.example/w2"
        b"\x00\x00\x00\x00\x64\x18\x50\xcb"
        b"\x15ledger.example/notary"
        b"\x00\x00\x00\x00\x00\x00\x00\x00"
        b"\x00\x00\x00\x00\x00\x00\x00\x02" + CHECKPOINT.root
    )
    line = W2.cosign(CHECKPOINT, TIME)
    assert len(line.signature) == 8 + 2420
    assert verify_cosignature(W2.key, CHECKPOINT, line) == TIME


def test_a_cosignature_of_ml_dsa_that_another_implementation_made() -> None:
    folder = Path(__file__).parents[1] / "vectors/cosignature"
    key = VerifierKey.parse((folder / "mldsa44.vkey").read_text(encoding="utf-8").removesuffix("\n"))
    signed = (folder / "mldsa44.note").read_text(encoding="utf-8")
    note = Note.parse(signed)
    assert (key.name, key.type, key.key_id.hex()) == ("example.com/mldsa-log", KeyType.MLDSA44_COSIGNATURE, "b5df45c5")
    assert note.format() == signed
    checkpoint = Checkpoint.parse_body(note.text)
    assert verify_cosignature(key, checkpoint, note.signatures[0]) == 0
    with pytest.raises(BadSignature):
        verify_cosignature(key, dataclasses.replace(checkpoint, size=2), note.signatures[0])


@pytest.mark.parametrize("cosigner", [W1, W2], ids=["ed25519", "mldsa44"])
def test_another_checkpoint_time_or_key_is_refused(cosigner: Cosigner) -> None:
    line = cosigner.cosign(CHECKPOINT, TIME)
    others = (
        dataclasses.replace(CHECKPOINT, size=3),
        dataclasses.replace(CHECKPOINT, root=bytes(32)),
        dataclasses.replace(CHECKPOINT, origin="ledger.example/other"),
    )
    for other in others:
        with pytest.raises(BadSignature):
            verify_cosignature(cosigner.key, other, line)
    later = dataclasses.replace(line, signature=(TIME + 1).to_bytes(8, "big") + line.signature[8:])
    other_key = dataclasses.replace(line, key_id=b"\0\0\0\0")
    for bad in (later, other_key, dataclasses.replace(line, signature=line.signature[:-1])):
        with pytest.raises(BadSignature):
            verify_cosignature(cosigner.key, CHECKPOINT, bad)


@given(st.data())
def test_one_flipped_bit_of_a_cosignature_is_refused(data: st.DataObject) -> None:
    cosigner: Cosigner = data.draw(st.sampled_from([W1, W2]))
    line = cosigner.cosign(CHECKPOINT, TIME)
    raw = bytearray(line.signature)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BadSignature):
        verify_cosignature(cosigner.key, CHECKPOINT, dataclasses.replace(line, signature=bytes(raw)))


def test_a_notes_key_cannot_cosign_and_times_have_a_range() -> None:
    signer = NoteSigner("ledger.example/notary", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    with pytest.raises(BadSignature):
        verify_cosignature(signer.key, CHECKPOINT, signer.sign(CHECKPOINT.body))
    with pytest.raises(Malformed):
        signed_message(signer.key, CHECKPOINT, TIME)
    for time in (-1, 2**63):
        with pytest.raises(Malformed):
            W1.cosign(CHECKPOINT, time)
    line = W1.cosign(CHECKPOINT, 2**63 - 1)
    assert verify_cosignature(W1.key, CHECKPOINT, line) == 2**63 - 1
    over = dataclasses.replace(line, signature=b"\x80" + bytes(7) + line.signature[8:])
    with pytest.raises(BadSignature, match="above"):
        verify_cosignature(W1.key, CHECKPOINT, over)
