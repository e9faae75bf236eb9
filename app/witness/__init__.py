"""A witness that a court runs for other courts' ledgers: C2SP tlog-witness over HTTP, with a memory of its own.

What it answers is decided in `ledger.witness`; here are its folder, its memory and its server. It knows checkpoints and
nothing of evidence or people, and needs nothing from the service that it watches.
"""
