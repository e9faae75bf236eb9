"""The law of the registry: pure rules that decide whether a statement is admitted and what it changes.

`decide` takes a view of the aggregates, a statement and its circumstances, and answers with the changed aggregates or a
named refusal; `evolve` lays the changes over the view. No I/O, no clock, no randomness. The service decides with these
rules; clients and verifiers replay the same rules from the genesis that their trust file pins, and so believe nobody.
"""
