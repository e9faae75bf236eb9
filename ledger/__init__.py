"""A transparency log of opaque entries, and its proofs.

RFC 6962 hashing; C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-cosignature, tlog-proof and tlog-policy. This room
knows bytes and hashes; it does not know what an entry means. It imports neither `storage` nor `app`.
"""
