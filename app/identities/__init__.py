"""X.509 certificates of people and offices, bound to their identity keys.

`chain` and `possession` are what the rules decide by: pure, without roots. `judging` asks more: whether a chain stands
under roots that somebody configured, and whether the recorded evidence says that nothing in it was revoked.
"""
