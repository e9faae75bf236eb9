"""Sealing: age v1 files, cut into segments, and the two lists that describe them (manifest and inventory).

This package follows the age specification (C2SP age.md, v1): what it writes opens with the stock `age` tool, and it
reads what stock `age` writes, without the ASCII armour. It knows files and keys; it knows no cases, no network and no
service. Randomness comes in as an argument, `rng(n) -> n random bytes`, and errors are those of `app.errors`. Import
its modules by name: `age` seals and opens small texts, `pipeline` seals evidence, `unseal` opens it.
"""
