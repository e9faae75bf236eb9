"""A monitor that anyone runs against another's ledger: any C2SP tlog-tiles log, followed over HTTP, with evidence kept.

What contradicts what is decided in `ledger.monitor`; here are its folder, its downloads and the order of its writes. It
knows checkpoints, tiles and entries' bytes, and nothing of evidence or people.
"""
