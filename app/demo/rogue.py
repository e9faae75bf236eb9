"""The process of a dishonest registry: `python -m app.demo.rogue DIR KEY`, KEY being its own authority's key in hex.

It is the ordinary service with the law of `app.demo.usurped`. It asks no witness: the witnesses hold another history
of this log already, or would soon. Only the demonstration starts it; no command does.
"""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from app.cli.commands.serve import serve_until_stopped
from app.config import FILE_NAME, load_settings
from app.demo.usurped import usurped_by
from app.statements.kinds import Authority


def command(folder: Path, key: bytes) -> list[str]:
    """What `app.demo.process.running` starts."""
    return ["app.demo.rogue", str(folder), key.hex()]


def main() -> None:
    """Serve the registry in DIR on a free port of loopback until SIGTERM."""
    folder, key = Path(sys.argv[1]), bytes.fromhex(sys.argv[2])
    settings = replace(load_settings(folder / FILE_NAME, {}), host="127.0.0.1", port=0, witnesses=None)
    asyncio.run(serve_until_stopped(settings, usurped_by(Authority(keys=(key,), m=1))))


if __name__ == "__main__":
    main()
