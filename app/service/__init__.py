"""The registry service: what stands between the HTTP interface and rules, ledger and stores.

Everything here is handed its stores, keys and clock; nothing is built at import, and only `app.wiring` knows adapters.
The one door for change is `accept`; everything else reads projections or moves bytes that a statement will name.
"""
