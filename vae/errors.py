"""The user's mistakes, lines that a terminal may show, and the exit status of each end."""

import warnings
from typing import Any

#: The exit status of a process that Ctrl-C or SIGTERM ended, as shells show it
INTERRUPTED_STATUS = 130


class UserError(ValueError):
    """Something that the user asked for cannot be done.

    Its message is one line: what was wrong, and what would be right. The scripts print it to stderr without a
    traceback and end with its status: 2, as of a command that was refused before it began.
    """

    status = 2

    def __init__(self, message: object) -> None:
        super().__init__(printable(str(message)))


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


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, up to 300 characters, or its type if it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def kind_and_first_line(error: BaseException) -> str:
    """Return an error's type and `first_line`."""
    kind = type(error).__name__
    return kind if not str(error).strip() else f"{kind}: {first_line(error)}"


def printable(text: str) -> str:
    r"""Return a text as one line that a terminal may show.

    Names may come from a stranger. Their control characters, which could rewrite what a terminal shows, and invisible
    ones become escapes, such as `\x1b`.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def shorten_warnings() -> None:
    """Print warnings in one line, without the source of the line that warns."""
    warnings.formatwarning = lambda message, *_, **__: f"warning: {printable(str(message))}\n"
