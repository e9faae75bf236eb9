"""What a person's own machine does: keys, sealing, following the panel, checking what the service says.

Everything that needs secrets or randomness stands here; the service never does. `home` is a person's folder, `api` the
HTTP interface as functions, `session.Client` the two together: it believes nothing that it cannot derive from the
trust file, and hands out a `State` that it replayed itself.
"""
