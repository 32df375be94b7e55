"""Workarounds for other libraries, and every use of their private names.

Each gives its reason, and has a test in `tests/test_compat.py` that fails once it breaks or is no longer needed.
"""

import collections
import contextlib
import gc
import logging
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from rich.console import Console

from vae.errors import UserError
from vae.program_cache import use_program_cache

#: What a process of TensorFlow needs before it trains: measured on two cores, 3.6 GiB of addresses and 0.9 of data
_LEAST_MEMORY = {"ulimit -v": (resource.RLIMIT_AS, 4 * 2**30), "ulimit -d": (resource.RLIMIT_DATA, 2**30)}

#: What Keras and TensorFlow import if it is installed: for estimators of scikit-learn, data frames, notebooks and the
#: converter from JAX to TensorFlow Lite. No command needs these, and they take a third of the time of the import
_NOT_NEEDED = ("IPython", "jax", "pandas", "sklearn")


def load_tensorflow(threads: int | None = None) -> None:
    """Import TensorFlow without the lines about the machine that its native code prints at every log level.

    Args:
        threads: number of threads to compute on; None for one per core.

    Raises:
        UserError: if TensorFlow already computes in this process, on another number of threads, or if a limit leaves
            it too little memory to be loaded.
    """
    _check_limits()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules:
        _import_tensorflow()
    else:
        use_program_cache(threads)
        with _without_garbage_collection():
            _import_tensorflow()
    import tensorflow as tf

    _let_gradients_end_with_their_graphs()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads or 0)
        tf.config.threading.set_inter_op_parallelism_threads(threads or 0)
    except RuntimeError:
        raise UserError(
            f"trainer.threads={threads or 'null'}: this process already computes on another number of threads; "
            "hydra/launcher=submitit_local starts a process for every run"
        ) from None


def _check_limits() -> None:
    """Refuse limits of memory under which native libraries hang or abort: OpenBLAS then asks for memory forever."""
    for option, (kind, least) in _LEAST_MEMORY.items():
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY and limit < least:
            raise UserError(
                f"{option} limits the memory of this process to {limit / 2**30:.1f} GiB; "
                f"TensorFlow needs {least / 2**30:g} GiB to be loaded; raise the limit"
            )


def _import_tensorflow() -> None:
    stderr = os.dup(2)
    # A notebook's stdout claims to be a terminal, but would keep every frame of the status as an output
    console = Console(force_terminal=os.isatty(1), force_jupyter=False)
    with console.status("loading TensorFlow"), tempfile.TemporaryFile() as captured, _not_found(*_NOT_NEEDED):
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


@contextlib.contextmanager
def _not_found(*modules: str) -> Iterator[None]:
    """Let every import of these modules fail that is tried, unless they are loaded already."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is for a module that is not found
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Keep Python's collector from searching what an import makes, none of which is garbage, then and later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _let_gradients_end_with_their_graphs() -> None:
    """Let the registry of gradients refer weakly to those that a graph registers of its own.

    TensorFlow keeps the gradient of a `tf.custom_gradient` in a graph for good, and by it the graph. Every traced step
    of an optimizer has one, which sums gradients over replicas, and so has every activation "silu".
    """
    from tensorflow.python.framework import ops
    from tensorflow.python.framework.registry import Registry

    class Gradients(Registry):
        def register(self, candidate: Any, name: str | None = None) -> None:
            if str(name).startswith("CustomGradient-"):
                graph = ops.get_default_graph()
                graph.custom_gradients = [*getattr(graph, "custom_gradients", []), candidate]
                weakref.finalize(candidate, self._registry.pop, name, None)
                candidate = weakref.proxy(candidate)
            super().register(candidate, name)

    if type(ops.gradient_registry) is Registry:
        weak = Gradients("gradient")
        weak._registry = ops.gradient_registry._registry
        ops.gradient_registry = weak


@contextlib.contextmanager
def without_weights() -> Iterator[None]:
    """Let Keras build models of which no weight takes any memory: in a graph of TensorFlow's, which nobody runs.

    The names and the seeds that Keras gave away are free again afterwards.
    """
    import tensorflow as tf
    from keras.src.backend.common import global_state

    names = dict(global_state.get_global_attribute("object_name_uids") or {})
    state = random.getstate()
    try:
        with tf.Graph().as_default():
            yield
    finally:
        random.setstate(state)
        global_state.set_global_attribute("object_name_uids", collections.defaultdict(int, names))


@contextlib.contextmanager
def keeping_sigterm_handler() -> Iterator[None]:
    """Restore the handler of SIGTERM at the end: a multi-worker strategy sets one that only logs the signal."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def keep_stderr_open() -> None:
    """Give absl's log handler the process's own stderr, if absl is loaded.

    When Hydra sets up logging, Python closes all handlers, and absl's then closes its stream: the stderr of the moment
    at which it was imported, such as one that a test or a notebook has put in place.
    """
    if "absl.logging" in sys.modules:
        sys.modules["absl.logging"].get_absl_handler().python_handler.setStream(sys.__stderr__)


def is_group_given_a_value(error: Exception) -> bool:
    """Return True for Hydra's error about an option such as `trainer=7`, a bare ValueError known by its prose."""
    return "Config group override" in str(error)


def unknown_override(error: Exception) -> str | None:
    """Return the name of the option that Hydra does not know, which only the error's prose tells; None otherwise."""
    return str(error).split("'")[1] if "Could not override" in str(error) else None


def check_flags(arguments: Sequence[str]) -> None:
    """Refuse flags that Hydra does not know: it would print its usage in many lines.

    Args:
        arguments: the command line.

    Raises:
        UserError: naming the flag; or if a run is to be repeated from a file whose content Hydra would run as code.
    """
    from hydra._internal.utils import get_args_parser

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}; --hydra-help lists Hydra's flags, and an option is NAME=VALUE")

    parser = get_args_parser()
    parser.error = refuse
    if parser.parse_args(arguments).experimental_rerun:
        refuse("--experimental-rerun: is not for this project; resume=RUN_DIR goes on with a run")


def is_search_without_results(error: Exception) -> bool:
    """Return True for the error of Optuna's sweeper if no run has finished, a bare ValueError known by its prose."""
    return "No trials are completed yet" in str(error)


def is_lost_joblib_worker(error: Exception) -> bool:
    """Return True for joblib's error about a worker that was killed, whose class only its vendored Loky has."""
    return type(error).__name__ == "TerminatedWorkerError"


def is_joblib_timeout(error: Exception) -> bool:
    """Return True for joblib's error about a task that took longer than its timeout."""
    from multiprocessing import TimeoutError

    return isinstance(error, TimeoutError)


def split_sweep(overrides: list[Any]) -> list[list[str]]:
    """Return the overrides of every run of a sweep, in the order in which Hydra's basic sweeper numbers them.

    Hydra has no public way to know the runs before they start.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    (runs,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return runs


#: The callbacks of Keras that only follow the training; others write files of any name, send data or call a function
FOLLOWING_CALLBACKS = {"EarlyStopping", "ReduceLROnPlateau", "SwapEMAWeights", "TerminateOnNaN"}


def callback_state(callback: Any) -> dict[str, Any]:
    """Return the attributes of a Keras callback, which has no public way to save its state."""
    return vars(callback)


def restore_callback_state(callback: Any, state: dict[str, Any]) -> None:
    """Give a Keras callback the attributes that it had.

    One that compares takes the sign of its `min_delta` again after the first epoch, so that it must not have it yet.
    """
    import keras

    comparing = keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau, keras.callbacks.ModelCheckpoint
    compares = isinstance(callback, comparing)
    vars(callback).update({name: value for name, value in state.items() if not (compares and name == "min_delta")})


@contextlib.contextmanager
def few_download_retries() -> Iterator[None]:
    """Let TensorFlow Datasets retry a download twice: its ten retries take minutes if there is no network.

    The number is a global variable without a public setting. It is read at each download.
    """
    from tensorflow_datasets.core.download import downloader

    log = logging.getLogger("urllib3")
    before = downloader.MAX_RETRIES, log.level
    downloader.MAX_RETRIES = 2
    log.setLevel(logging.ERROR)  # or it would announce every retry
    try:
        yield
    finally:
        downloader.MAX_RETRIES, log.level = before
