"""Shared by the tests of saved models."""

from pathlib import Path

from vae.runs.saved_model import clean_copy


def check(path: Path) -> None:
    """Copy a saved model as before Keras reads it, which raises an error if no run can have written it."""
    with clean_copy(path):
        pass
