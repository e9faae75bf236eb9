"""Encrypting a file key to a panel (SPEC 4)."""

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from app.panels.capsule import FILE_KEY_BYTES, GBAR, box_hash, capsule_statement, dem_key
from app.panels.errors import need
from app.panels.group import G, dec_elem
from app.panels.hashing import H2S
from app.panels.making.proof import RND_BYTES, prove


def encrypt(Y: bytes, label: bytes, file_key: bytes, rnd: bytes) -> bytes:
    """The 177-byte ciphertext of `file_key` (32 bytes) for the panel of Y under `label` (32), with fresh `rnd` (32).

    Y comes from a verified chain and nowhere else. Destroy `rnd` and the file key afterwards: each opens the box.
    Raises the errors of `dec_elem` for Y, then `bad_length`. `capsule.public_part` and `box_of` cut the result.
    """
    joint_key = dec_elem(Y)
    need(len(label) == 32, "bad_length")
    need(len(file_key) == FILE_KEY_BYTES, "bad_length")
    need(len(rnd) == RND_BYTES, "bad_length")
    r = H2S("tdh2/r", file_key, rnd, label, joint_key)
    U, Ubar = r * G, r * GBAR
    key = dem_key(r * joint_key, joint_key, label, U)
    box = ChaCha20Poly1305(key).encrypt(bytes(12), file_key, label)
    proof = prove(capsule_statement(joint_key, label, U, Ubar, box_hash(box)), [r], rnd)
    return b"\x01" + bytes(U) + bytes(Ubar) + proof + box
