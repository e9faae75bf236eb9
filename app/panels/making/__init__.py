"""Everything that takes secrets or 32 fresh random bytes (`rnd`, `seed`): the maker's side of each message.

Only `app.client` and tests may import from here (an import contract and tests/app/panels/test_layering.py hold it). The
client's shell passes bytes of the operating system's generator and nothing else; no command, request or file reaches
`rnd`. Every nonce is hedged: derived from the secret, `rnd` and what is being said (SPEC 2.4).
"""
