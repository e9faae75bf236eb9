"""The commands. Each module imports at its top only what the parser needs, so that `--help` is quick."""
