"""The one exception that means: the user can put this right."""


class UserError(ValueError):
    """Something that the user asked for cannot be done.

    Its message is one line: what was wrong, and what would be right. The scripts print it to stderr without a
    traceback and end with status 1.
    """
