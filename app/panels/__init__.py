"""k of n judges open a deposit together: every pure function of "Panel encryption v1" (docs/protocol.md).

This room knows elements, scalars, proofs and 32-byte hashes. It does not know who a judge is, what a case is, or where
anything is stored, and it takes neither time nor randomness. What takes secrets or fresh random bytes stands apart in
`app.panels.making`, which only the client may import.
"""
