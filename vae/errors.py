"""The exceptions that mean "the user can put this right", and the exit status of each end."""

from typing import Any

#: The exit status of a process that Ctrl-C or SIGTERM ended, as shells show it
INTERRUPTED_STATUS = 130


class UserError(ValueError):
    """Something that the user asked for cannot be done.

    Its message is one line: what was wrong, and what would be right. The scripts print it to stderr without a
    traceback and end with its status: 2, as of a command that was refused before it began.
    """

    status = 2


class RunError(UserError):
    """A run that had begun cannot go on. What it has saved is in its directory."""

    status = 1


class NonFiniteError(RunError):
    """A quantity became NaN or infinite.

    Args:
        message: one line for the user.
        facts: entries for summary.json.
    """

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts
