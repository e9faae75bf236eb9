"""Anchors: what others say about when a signed checkpoint existed. Pure: bytes and keys in, a judgement out.

An anchor is made over `stamped_text(checkpoint)`: the checkpoint as a signed note that carries the log's line alone.
Ed25519 is deterministic, so every replica and every holder of the ledger makes the same bytes; and since the signature
is in them, a key or an algorithm that breaks later cannot have signed before.
"""
