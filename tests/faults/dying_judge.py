"""A judge's commands that kill themselves at a step: one process that forks a child for each order, read from stdin.

An order is a JSON line: `point`, `home`, `passphrase` (files), `now` (Unix seconds), `words` (the command). The answer
is a line with the child's exit code, or minus the signal that ended it. A point is `before`, `amid` or `after`, then
`put X` or `delete X` (X: host, deal, ack, grant, sheet: a file of the judge's secrets; amid: written aside and not yet
renamed, overwritten and not yet removed), `post KIND` (amid: the service has answered, nothing of it was read), or
`change N`: the N-th change of any file in the folder, caches included. The empty point lets the command live.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import app.cli.commands.act
import app.cli.commands.decide
import app.cli.commands.panel
import app.cli.person
import app.client.backup
import app.client.judge
import app.client.paper
import app.client.session
from app.cli.main import main
from app.client.api import Api
from app.client.home import Vault
from app.statements.statement import parse_statement


def die() -> None:
    """No handler, no flush, no farewell."""
    os.kill(os.getpid(), signal.SIGKILL)


class Trap:
    """Dies at the one step that was named."""

    def __init__(self, point: str) -> None:
        self.moment, _, rest = point.partition(" ")
        self.step = rest
        verb, _, count = rest.partition(" ")
        self.changes = int(count) if verb == "change" else 0
        self.amid = False

    def enter(self, step: str) -> None:
        if step == self.step:
            if self.moment == "before":
                die()
            self.amid = self.moment == "amid"

    def leave(self, step: str) -> None:
        if step == self.step and self.moment == "after":
            die()

    def change(self) -> None:
        if self.amid:
            die()
        if self.changes:
            self.changes -= 1
            if not self.changes:
                die()


def spring(trap: Trap) -> None:
    """Put the trap around what changes the judge's folder, and around what leaves it."""
    for name in ("put", "delete"):
        inner = getattr(Vault, name)

        def stepped(
            vault: Vault, area: str, file: str, *rest: Any, inner: Any = inner, name: str = name, **how: Any
        ) -> None:
            step = f"{name} {file.partition('-')[0]}" if area == "secrets" else "other file"
            trap.enter(step)
            inner(vault, area, file, *rest, **how)
            trap.leave(step)

        setattr(Vault, name, stepped)
    for name in ("replace", "unlink"):
        changed = getattr(Path, name)

        def counted(path: Path, *args: Any, changed: Any = changed, **rest: Any) -> Any:
            trap.change()
            return changed(path, *args, **rest)

        setattr(Path, name, counted)
    post = Api.post_statement

    async def posted(api: Api, text: str) -> Any:
        step = f"post {parse_statement(text).kind}"
        trap.enter(step)
        try:
            answer = await post(api, text)
        finally:
            if trap.amid:
                die()
        trap.leave(step)
        return answer

    setattr(Api, "post_statement", posted)  # noqa: B010 - a method is not assigned to


def live(order: dict[str, Any]) -> int:
    """Run the command of an order in this process."""
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    os.environ["MUNIMENT_HOME"], os.environ["MUNIMENT_PASSPHRASE_FILE"] = order["home"], order["passphrase"]
    vars(app.cli.person)["clock"] = lambda: order["now"]
    spring(Trap(order["point"]))
    return main(order["words"])


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 99
            try:
                code = live(json.loads(line))
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
