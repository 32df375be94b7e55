"""The margin of equivalence: the nats within which two configurations count as equal."""

import math

from vae.errors import UserError

MARGIN = 0.5  # unless the user names another


def margin_from(text: str, option: str) -> float:
    """Return the margin that a user gave.

    Args:
        text: what the user wrote.
        option: the name of what it was written for, such as "--margin".

    Raises:
        UserError: if it is not a positive number.
    """
    try:
        margin = float(text)
    except ValueError:
        margin = math.nan
    if not (math.isfinite(margin) and margin > 0.0):
        raise UserError(f"{option}={text}: must be a number of nats greater than 0")
    return margin
