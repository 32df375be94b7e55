"""Workarounds for other libraries: whatever is private, each with its reason and a test that notices a change.

The tests are in `tests/test_compat.py`.
"""

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from rich.console import Console

from vae.errors import UserError


def load_tensorflow(threads: int | None = None) -> None:
    """Imports TensorFlow without the lines about the machine that its native code prints whatever the log level.

    Args:
        threads: how many it may compute on; None: one for every core.

    Raises:
        UserError: where this process computes on another number already.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr = os.dup(2)
    # In a notebook, whose stdout claims to be a terminal, every turn of the status would stay as an output
    console = Console(force_terminal=os.isatty(1), force_jupyter=False)
    with console.status("loading TensorFlow"), tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            import absl.logging
            import tensorflow as tf

            tf.get_logger().setLevel("ERROR")
            absl.logging.set_verbosity(absl.logging.ERROR)  # TFDS's log
        except BaseException:
            captured.seek(0)
            os.write(stderr, captured.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads or 0)
        tf.config.threading.set_inter_op_parallelism_threads(threads or 0)
    except RuntimeError:
        raise UserError(
            f"trainer.threads={threads}: this process computes on another number of them already; "
            "hydra/launcher=submitit_local gives every run a process"
        ) from None


@contextlib.contextmanager
def keeping_sigterm_handler() -> Iterator[None]:
    """Restore the handler of SIGTERM at the end: TensorFlow sets one that only logs the signal."""
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers nowhere else
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def is_group_given_a_value(error: Exception) -> bool:
    """Return True for Hydra's error about an option such as `trainer=7`, a bare ValueError known by its prose."""
    return "Config group override" in str(error)


def unknown_override(error: Exception) -> str | None:
    """Return the name of the option that Hydra does not know, which only the error's prose tells; None otherwise."""
    return str(error).split("'")[1].split("@")[0] if "Could not override" in str(error) else None


def is_search_without_results(error: Exception) -> bool:
    """Return True for the error of Optuna's sweeper if no run has finished, a bare ValueError known by its prose."""
    return "No trials are completed yet" in str(error)


def split_sweep(overrides: list[Any]) -> list[list[str]]:
    """Return the overrides of every run of a sweep, in the order in which Hydra's basic sweeper numbers them.

    Hydra has no public way to know the runs before they start.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    (runs,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return runs


def callback_state(callback: Any) -> dict[str, Any]:
    """Return the attributes of a Keras callback, which has no public way to save its state."""
    return vars(callback)


def restore_callback_state(callback: Any, state: dict[str, Any]) -> None:
    """Give a Keras callback the attributes that it had."""
    vars(callback).update(state)
