"""Evidence: statements, rules, sealing, panels, and the faces that people use.

`app` may import `ledger` and `storage`; neither imports it back.
"""
