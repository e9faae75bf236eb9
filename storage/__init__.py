"""Bytes and documents at rest.

Two ports (`storage.ports`) and their adapters. This room knows keys, bytes, versions and locks; it does not know what
they mean: no log, no evidence, no law. It imports neither `ledger` nor `app`.
"""
