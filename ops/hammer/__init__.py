"""Writers, replicas and a random killer on one registry; afterwards every promise that was made is checked.

`python -m ops.hammer --seconds 60`: see `ops.hammer.run` for what is done and `ops.hammer.verdict` for what is checked.
"""
