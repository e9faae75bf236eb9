"""Checking a deposit alone: a proof file, the verifier's own trust file, the files. No network, no secrets.

`proof.check_proof` makes the numbered checks and returns a verdict; nothing here opens a socket or reads a clock.
"""
