"""Small age files in memory: notes for people, and secrets in a person's folder. Binary form, no ASCII armour."""

import io
from collections.abc import Sequence

from app.errors import BadInput
from app.sealing.header import (
    FILE_KEY_BYTES,
    AnyIdentity,
    AnyRecipient,
    Rng,
    bad_header,
    find_file_key,
    read_header,
    seal_header,
)
from app.sealing.stream import PAYLOAD_NONCE_BYTES, decrypt_chunks, encrypt_chunks, payload_cipher

MAX_RECIPIENTS = 256


def encrypt_bytes(data: bytes, recipients: Sequence[AnyRecipient], rng: Rng) -> bytes:
    """Return an age file with `data` that each of the recipients opens.

    Raises BadInput: no_recipient, mixed_recipients (hybrid with classic ones, or a passphrase with anything).
    """
    if not 1 <= len(recipients) <= MAX_RECIPIENTS:
        raise BadInput(f"{len(recipients)} recipients given", "Name 1 to 256 of them.", code="no_recipient")
    families = {recipient.family for recipient in recipients}
    if len(families) > 1 or (families == {"passphrase"} and len(recipients) > 1):
        raise BadInput(
            f"recipients of different kinds in one file: {', '.join(sorted(families))}",
            "Write one file for each kind; a file is as weak as its weakest recipient.",
            code="mixed_recipients",
        )
    file_key = rng(FILE_KEY_BYTES)
    header = seal_header(file_key, tuple(recipient.wrap(file_key, rng) for recipient in recipients))
    nonce = rng(PAYLOAD_NONCE_BYTES)
    return header + nonce + encrypt_chunks(payload_cipher(file_key, nonce), data)


def decrypt_bytes(data: bytes, identities: Sequence[AnyIdentity]) -> bytes:
    """Return the content of an age file that one of the identities opens, all of it or nothing.

    Raises BadInput (bad_age_header), Mismatch (no_matching_key, bad_header_mac, bad_payload).
    """
    source = io.BytesIO(data)
    file_key = find_file_key(read_header(source), tuple(identities))
    nonce = source.read(PAYLOAD_NONCE_BYTES)
    if len(nonce) != PAYLOAD_NONCE_BYTES:
        raise bad_header("the payload's nonce is cut off")
    return b"".join(decrypt_chunks(payload_cipher(file_key, nonce), source))
