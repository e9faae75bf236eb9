"""Statements: the signed acts that are the only way to change anything, and the claims hidden in them.

This package knows bytes, keys and claims; it knows no state, no store and no network. Import its modules by name.
"""
