"""The errors of this room, drawn as a tree.

    AppError
    ├── Refused         a rule says no; a value of the same shape that the rules return is `Refusal`
    ├── BadInput        bytes, files or arguments that are not in the form that is asked for
    ├── Mismatch        something was checked and does not match (exit 1)
    ├── CannotTell      something needed for a verdict is not known here (exit 3)
    ├── Full            this machine's disk, or the registry's store, has no room; nothing was lost
    └── Unreachable     the service or a file could not be reached; nothing was lost

Each carries `code` (a stable slug), `message` (what is the case) and `next_step` (what the reader can do).
"""


class AppError(Exception):
    """Base of everything that this room raises."""

    code = "error"

    def __init__(self, message: str, next_step: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        if code is not None:
            self.code = code


class Refused(AppError):
    """A rule says no. `code` names the rule."""

    code = "refused"


class BadInput(AppError):
    """The bytes, file or argument are not in the form that is asked for."""

    code = "bad_input"


class Mismatch(AppError):
    """A check was made and failed."""

    code = "does_not_match"


class CannotTell(AppError):
    """Something that the verdict needs is not known here."""

    code = "cannot_tell"


class Full(AppError):
    """There is no room for what was to be written. What was written before stands."""

    code = "disk_full"


class Unreachable(AppError):
    """The service, a store or a file could not be reached. Nothing was changed by it as far as is known."""

    code = "unreachable"
