"""The command line: `muniment <verb>`. One module a command, each with `add(commands)` and `run(args)`.

Results go to standard output (with `--json` one document), everything else to standard error. Exit codes: 0 done or
verified, 1 does not match, refused or failed, 2 usage, 3 not on this ledger or cannot tell, 130 interrupted.
"""
