"""The exception that means "the user can put this right", and the exit status of an interruption."""

#: The exit status of a process that Ctrl-C or SIGTERM ended, as shells show it
INTERRUPTED_STATUS = 130


class UserError(ValueError):
    """Something that the user asked for cannot be done.

    Its message is one line: what was wrong, and what would be right. The scripts print it to stderr without a
    traceback and end with status 1.
    """
