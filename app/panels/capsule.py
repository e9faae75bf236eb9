"""The capsule: a 32-byte file key encrypted to a panel (SPEC 4, TDH2 of Shoup and Gennaro).

Ciphertext, 177 bytes: public part without its last field, then the box (48). Public part, 161 bytes:
0x01 ‖ U ‖ Ubar ‖ e ‖ f ‖ H32("box", box). Encrypting stands in `making.capsule`.
"""

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.panels.errors import need
from app.panels.group import Element, G, dec_elem
from app.panels.hashing import CTX, H2G, H32, J
from app.panels.sigma import Statement, check_proof, read_proof
from app.panels.wire import VERSION, Reader

CIPHERTEXT_BYTES: Final = 177
PUBLIC_BYTES: Final = 161
BOX_BYTES: Final = 48
FILE_KEY_BYTES: Final = 32
_CORE_BYTES: Final = 129  # what ciphertext and public part share
_NONCE: Final = bytes(12)  # each key encrypts one box

GBAR: Final = H2G("tdh2/gbar")
"""TDH2's second generator; nobody knows its logarithm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicPart:
    """A public part whose proof holds for this Y and label."""

    Y: Element
    label: bytes
    U: Element
    box_hash: bytes
    ct_hash: bytes
    encoded: bytes


def label(Y: bytes, deposit_id: bytes, case_id: bytes, manifest_hash: bytes) -> bytes:
    """The 32 bytes that bind a capsule to lineage, deposit, case and manifest.

    ids of any length, `manifest_hash` 32 bytes. Raises the errors of `dec_elem` for Y, then `bad_length`.
    """
    dec_elem(Y)
    need(len(manifest_hash) == 32, "bad_length")
    return H32("muniment/label/v1", Y, deposit_id, case_id, manifest_hash)


def box_hash(box: bytes) -> bytes:
    """H32("box", box): by it the public part commits to the box."""
    return H32("box", box)


def public_part(ciphertext: bytes) -> bytes:
    """The 161 bytes for ledger and judges, of a 177-byte ciphertext. Raises `bad_length`, `bad_version`."""
    need(len(ciphertext) == CIPHERTEXT_BYTES, "bad_length")
    need(ciphertext[0] == VERSION, "bad_version")
    return ciphertext[:_CORE_BYTES] + box_hash(ciphertext[_CORE_BYTES:])


def box_of(ciphertext: bytes) -> bytes:
    """The 48 bytes that travel beside the evidence. Raises `bad_length`."""
    need(len(ciphertext) == CIPHERTEXT_BYTES, "bad_length")
    return ciphertext[_CORE_BYTES:]


def check_public(Y: bytes, label: bytes, public: bytes) -> PublicPart:
    """Whether `public` (161 bytes) was made for Y (32) and `label` (32): every judge runs it before touching U.

    Raises, in this order: the errors of `dec_elem` for Y; `bad_length`; `bad_version`; element and scalar errors;
    `ct_proof` for a wrong label, panel, box hash or exponent.
    """
    joint_key = dec_elem(Y)
    need(len(label) == 32, "bad_length")
    need(len(public) == PUBLIC_BYTES, "bad_length")
    need(public[0] == VERSION, "bad_version")
    reader = Reader(public, 1)
    U, Ubar = reader.elems(2)
    proof = read_proof(reader, 1)
    check_proof(capsule_statement(joint_key, label, U, Ubar, public[_CORE_BYTES:]), proof, "ct_proof")
    return resume_public(joint_key, label, public)


def resume_public(Y: Element, label: bytes, public: bytes) -> PublicPart:
    """The same value without the proof's check: only for bytes that `check_public` accepted before."""
    return PublicPart(
        Y=Y,
        label=label,
        U=dec_elem(public[1:33]),
        box_hash=public[_CORE_BYTES:],
        ct_hash=H32("ciphertext", public, label),
        encoded=public,
    )


def check_box(public: PublicPart, box: bytes) -> None:
    """Raise `bad_length` unless the box is 48 bytes, `box_mismatch` unless it is the one committed to."""
    need(len(box) == BOX_BYTES, "bad_length")
    need(box_hash(box) == public.box_hash, "box_mismatch")


def admit(Y: bytes, label: bytes, public: bytes, box: bytes) -> PublicPart:
    """What the service checks before it takes a deposit: `check_public`, then `check_box`."""
    checked = check_public(Y, label, public)
    check_box(checked, box)
    return checked


def capsule_statement(Y: Element, label: bytes, U: Element, Ubar: Element, committed_box: bytes) -> Statement:
    """Proof `tdh2`: U and Ubar have one logarithm, bound to panel, label and box hash."""
    return Statement("tdh2", [[G], [GBAR]], [U, Ubar], [Y, label, committed_box])


def dem_key(K: Element, Y: Element, label: bytes, U: Element) -> bytes:
    """The key of the box: HKDF-SHA512 of K = r·Y."""
    return HKDF(algorithm=SHA512(), length=32, salt=CTX, info=J(b"dem", Y, label, U)).derive(bytes(K))


def unbox(public: PublicPart, K: Element, box: bytes) -> bytes | None:
    """The 32-byte file key, or None when the box does not open under K."""
    key = dem_key(K, public.Y, public.label, public.U)
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, box, public.label)
    except InvalidTag:
        return None
