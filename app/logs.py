"""The log's lines: for people, or as JSON, one object a line; each with the id of the request that it belongs to.

An exception is written as its kind and where it was raised: its own text may quote what was sent. No line can be forged
by what is quoted in it: line ends are indented (text) or escaped (JSON), other control characters are escaped.
"""

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum

REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the request that is being answered: 16 hex digits of ours; empty outside of one."""


class LogForm(StrEnum):
    """How lines are written; the setting `log`."""

    TEXT = "text"
    JSON = "json"


class TextLines(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO muniment.access [0123456789abcdef] GET /healthz 200 0.4 ms`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a trace, or a message of several lines, is indented under it."""
        request = REQUEST.get()
        head = f"{_time(record)} {record.levelname} {record.name} {f'[{request}] ' if request else ''}"
        lines = "\n".join([record.getMessage(), *_trace(record)]).split("\n")
        return head + "\n    ".join(_printable(line) for line in lines)


class JsonLines(logging.Formatter):
    """An object a line: `time`, `level`, `logger`, `message`, within a request `request`, of an exception `trace`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, all of it ASCII."""
        found: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := REQUEST.get():
            found["request"] = request
        if trace := _trace(record):
            found["trace"] = trace
        return json.dumps(found, ensure_ascii=True)


def set_up_logs(form: LogForm) -> None:
    """Have the process log to stderr from INFO on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form is LogForm.JSON else TextLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace(record: logging.LogRecord) -> list[str]:
    if not record.exc_info or record.exc_info[0] is None:
        return []
    kind, _, frames = record.exc_info
    return [kind.__name__, *(line.rstrip("\n") for line in traceback.format_tb(frames))]


def _printable(line: str) -> str:
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
