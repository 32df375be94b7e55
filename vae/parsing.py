"""Parts of the command lines that are not Hydra's: `python -m vae.kl.check` and `python -m vae.weigh`."""

import argparse
import ast
from typing import Any, NoReturn

from vae.errors import UserError

_YAML_WORDS = {"true": True, "false": False, "null": None}


class Parser(argparse.ArgumentParser):
    """A parser that raises a mistake as a UserError, so that it ends in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise a UserError instead of printing the usage and exiting."""
        raise UserError(f"{message}; --help shows the usage")


def named_value(text: str, whose: str) -> tuple[str, Any]:
    """Return name and value of `name=value`: a Python literal, one of YAML's true, false and null, or a string.

    Args:
        text: the words of the command line.
        whose: what the argument is of, for the message, such as "the constructor".

    Raises:
        UserError: if it is not of this form.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UserError(f"{text}: give an argument of {whose} as NAME=VALUE")
    try:
        return name, _YAML_WORDS[value] if value in _YAML_WORDS else ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
