"""Workarounds for other libraries: each still works, and is still needed."""

import gc
import json
import logging
import random
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import requests
import tensorflow as tf
import tensorflow_datasets as tfds
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException
from tensorflow.python.framework import ops

from tests.conftest import REPOSITORY, free_addresses, inherited_environment
from vae import compat
from vae.cli import compose
from vae.compat import _let_gradients_end_with_their_graphs, few_download_retries
from vae.errors import UserError
from vae.networks import MLP


def run_program(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env={**inherited_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(("option", "limit"), [("v", "RLIMIT_AS"), ("d", "RLIMIT_DATA")])
def test_a_limit_of_memory_under_which_a_library_hangs_is_refused(option: str, limit: str) -> None:
    """OpenBLAS asks for memory forever where it gets none: measured under `ulimit -v` of 2 GB."""
    program = (
        "import resource, sys; from vae import compat\n"
        f"resource.setrlimit(resource.{limit}, (2**29, 2**29))\n"
        "try: compat.load_tensorflow()\n"
        "except ValueError as error: print(error, 'tensorflow' in sys.modules)"
    )
    said = run_program(program).stdout
    assert said.startswith(f"ulimit -{option} limits the memory of this process to 0.5 GiB; TensorFlow needs ")
    assert said.endswith("False\n")


@pytest.mark.thorough
def test_tensorflow_is_loaded_without_its_messages() -> None:
    ended = run_program("from vae.compat import load_tensorflow; load_tensorflow(); import tensorflow; print('loaded')")
    assert ended.stdout.split()[-1] == "loaded"
    assert ended.stderr == ""


@pytest.mark.thorough
def test_tensorflow_alone_prints_at_every_log_level() -> None:
    """If this fails, `load_tensorflow` need not capture stderr any more."""
    assert run_program("import tensorflow", TF_CPP_MIN_LOG_LEVEL="3").stderr != ""


COLLECTIONS_AFTER_IMPORT = """
import gc
collections = []
gc.callbacks.append(lambda phase, _: collections.append(phase))
if LOADED:
    from vae.compat import load_tensorflow
    collections.clear()
    load_tensorflow()
else:
    import tensorflow
print(len(collections), gc.isenabled(), gc.get_freeze_count() > 100_000)
"""


@pytest.mark.thorough
def test_tensorflow_is_loaded_without_garbage_collection() -> None:
    """By itself its import has the collector search hundreds of times: if not, there is nothing to work around."""
    loaded, alone = (
        run_program(COLLECTIONS_AFTER_IMPORT.replace("LOADED", loaded)).stdout.split()[-3:] for loaded in ("1", "0")
    )
    assert loaded[1:] == ["True", "True"], "the collector is on again, and passes over what the import made"
    assert int(loaded[0]) < int(alone[0]) / 10, "a few follow the import, in the setting of threads"


MODULES_AFTER_IMPORT = """
import importlib, sys
if LOADED:
    from vae.compat import load_tensorflow
    load_tensorflow()
else:
    import tensorflow
modules = ("pandas", "sklearn")
print([name in sys.modules for name in modules])
print([importlib.import_module(name).__name__ for name in modules])
"""


@pytest.mark.thorough
def test_tensorflow_is_loaded_without_what_no_command_needs() -> None:
    """By itself it imports both: if not, there is nothing to work around. Afterwards they can be imported."""
    for loaded in (True, False):
        ended = run_program(f"LOADED = {loaded}\n{MODULES_AFTER_IMPORT}")
        assert ended.stdout.splitlines()[-2:] == [str([not loaded] * 2), "['pandas', 'sklearn']"], ended.stderr


def test_the_reason_of_a_failing_import_is_shown(no_tensorflow: str) -> None:
    ended = run_program("from vae.compat import load_tensorflow; load_tensorflow()", PYTHONPATH=no_tensorflow)
    assert ended.returncode == 1
    assert "TensorFlow was loaded" in ended.stderr


SIGTERM_AFTER_STRATEGY = """
import contextlib, os, signal, time
from vae.compat import keeping_sigterm_handler, load_tensorflow
load_tensorflow()
import tensorflow as tf
received = []
signal.signal(signal.SIGTERM, lambda *_: received.append(True))
with keeping_sigterm_handler() if KEEP else contextlib.nullcontext():
    tf.distribute.MultiWorkerMirroredStrategy()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.5)
print("received" if received else "lost", flush=True)
os._exit(0)
"""


@pytest.mark.thorough
@pytest.mark.parametrize(("keep", "outcome"), [(True, "received"), (False, "lost")])
def test_a_multi_worker_strategy_takes_sigterm_unless_its_handler_is_restored(keep: bool, outcome: str) -> None:
    """If "lost" fails, `keeping_sigterm_handler` is not needed any more."""
    cluster = {"cluster": {"worker": free_addresses(1)}, "task": {"type": "worker", "index": 0}}
    ended = run_program(f"KEEP = {keep}\n{SIGTERM_AFTER_STRATEGY}", TF_CONFIG=json.dumps(cluster))
    assert ended.stdout.split()[-1:] == [outcome], ended.stderr


def test_downloads_are_retried_twice_and_the_settings_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This fails if TFDS no longer reads its number of retries at each download."""
    retries = []

    def get(session: requests.Session, url: str, **_: object) -> None:
        retries.append(session.get_adapter(url).max_retries.total)
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "get", get)

    def download() -> None:
        manager = tfds.download.DownloadManager(download_dir=tmp_path)
        with pytest.raises(requests.ConnectionError):
            manager.download("https://localhost/images.zip")

    level = logging.getLogger("urllib3").level
    download()
    with few_download_retries():
        download()
        assert logging.getLogger("urllib3").level == logging.ERROR
    download()
    assert retries == [10, 2, 10]
    assert logging.getLogger("urllib3").level == level


def test_absl_s_handler_would_close_the_stream_that_it_was_imported_with() -> None:
    program = """
import io, logging.config, sys
from vae.compat import keep_stderr_open
real, sys.stderr = sys.stderr, io.StringIO()
import absl.logging
absl.logging.use_absl_handler()
redirected, sys.stderr = sys.stderr, real
if KEEP:
    keep_stderr_open()
logging.config.dictConfig({"version": 1})
print(redirected.closed)
"""
    assert run_program(program.replace("KEEP", "False")).stdout.split() == ["True"]
    assert run_program(program.replace("KEEP", "True")).stdout.split() == ["False"]


def test_hydra_says_what_the_messages_are_made_from() -> None:
    """The prose of Hydra's errors, which have no types or attributes of their own."""
    with pytest.raises(ValueError, match="group") as caught:
        compose("train", "trainer=7")
    assert compat.is_group_given_a_value(caught.value)
    with pytest.raises(ConfigCompositionException) as unknown:
        compose("train", "trainer.epoch=3")
    assert compat.unknown_override(unknown.value) == "trainer.epoch"
    assert not compat.is_group_given_a_value(unknown.value)
    assert compat.unknown_override(caught.value) is None


def test_optuna_says_that_no_trial_has_finished() -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with pytest.raises(ValueError, match="No trials") as caught:
        _ = optuna.create_study().best_trial
    assert compat.is_search_without_results(caught.value)


def test_a_sweep_is_split_as_hydra_numbers_its_runs() -> None:
    overrides = OverridesParser.create().parse_overrides(["kl=analytic,backend", "seed=0,1", "trainer.epochs=2"])
    assert compat.split_sweep(overrides) == [
        [f"kl={kl}", f"seed={seed}", "trainer.epochs=2"] for kl in ("analytic", "backend") for seed in (0, 1)
    ]


def test_a_keras_callback_keeps_its_state_in_its_attributes() -> None:
    """EarlyStopping, half way through its patience, has no public way to save how long it has waited."""
    first, second = (keras.callbacks.EarlyStopping("loss", patience=3) for _ in range(2))
    for callback in (first, second):
        callback.set_model(keras.Sequential())
        callback.on_train_begin()
    for epoch, loss in enumerate([1.0, 2.0, 2.0]):
        first.on_epoch_end(epoch, {"loss": loss})
    state = {name: value for name, value in compat.callback_state(first).items() if isinstance(value, int | float)}
    compat.restore_callback_state(second, state)
    second.on_epoch_end(3, {"loss": 2.0})
    assert second.model.stop_training
    assert not hasattr(keras.callbacks.Callback, "get_state")  # once there is one, use it


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_keras_callback_that_is_restored_compares_as_before(mode: str) -> None:
    """Keras changes the sign of `min_delta` after the first epoch of every process, and would change it back."""
    sign = {"min": 1, "max": -1}[mode]
    first, second = (keras.callbacks.EarlyStopping("loss", min_delta=0.5, mode=mode) for _ in range(2))
    for callback in (first, second):
        callback.set_model(keras.Sequential())
        callback.on_train_begin()
    first.on_epoch_end(0, {"loss": sign * 10.0})
    compat.restore_callback_state(second, dict(compat.callback_state(first)) | {"monitor_op": None})
    second.on_epoch_end(1, {"loss": sign * 10.2})
    assert (second.best, second.wait) == (sign * 10.0, 1)
    second.on_epoch_end(2, {"loss": sign * 9.4})
    assert (second.best, second.wait) == (sign * 9.4, 0)


def test_flags_that_hydra_does_not_know_are_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    from hydra._internal.utils import get_args_parser

    with pytest.raises(SystemExit):
        get_args_parser().parse_args(["--nonsense"])
    assert capsys.readouterr().err.count("\n") > 1, "Hydra needs no help any more"
    with pytest.raises(UserError, match="--nonsense") as refused:
        compat.check_flags(["--nonsense"])
    assert "\n" not in str(refused.value)
    compat.check_flags(["-m", "seed=0,1", "kl=backend"])


def trace_a_step() -> Any:
    optimizer, weight = keras.optimizers.SGD(), keras.Variable(tf.zeros(3))
    optimizer.build([weight])

    @tf.function(autograph=False)
    def step(gradient: tf.Tensor) -> tf.Tensor:
        optimizer.apply([gradient], [weight])
        return weight.value

    return step


def trace_silu() -> Any:
    """The activation in the body of a loop."""

    def body(place: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return place + 1, tf.nn.silu(x)

    return tf.function(lambda x: tf.while_loop(lambda place, _: place < 1, body, (0, x))[1], autograph=False)


@pytest.mark.parametrize("trace", [trace_a_step, trace_silu])
def test_a_graph_is_not_kept_for_the_gradients_in_it(trace: Callable[[], Any]) -> None:
    _let_gradients_end_with_their_graphs()
    gc.collect()  # the graphs of earlier tests
    registered = {*ops.gradient_registry.list()}
    graph = weakref.ref(trace().get_concrete_function(tf.TensorSpec(3)).graph)
    gc.collect()
    assert graph() is None
    assert {*ops.gradient_registry.list()} == registered


@pytest.mark.thorough
def test_tensorflow_keeps_a_graph_for_the_gradients_in_it() -> None:
    """If this fails, `load_tensorflow` need not replace the registry of gradients any more."""
    program = (
        "import gc, weakref; import tensorflow as tf\n"
        "graph = weakref.ref(tf.function(tf.nn.silu).get_concrete_function(tf.TensorSpec(3)).graph)\n"
        "gc.collect(); print(graph() is None)"
    )
    assert run_program(program).stdout == "False\n"


def test_the_gradients_in_a_graph_are_those_that_it_registered() -> None:
    """Traced in another function that is gone when the gradient is asked for."""
    _let_gradients_end_with_their_graphs()
    x = tf.constant([0.3, -1.2, 4.0])
    silu = trace_silu()
    tf.function(lambda x: silu(x) + 1, autograph=False)(x)
    gc.collect()
    sigmoid = 1 / (1 + np.exp(-x.numpy().astype(np.float64)))
    expected = sigmoid * (1 + x.numpy() * (1 - sigmoid))
    for function in (silu, tf.function(silu, autograph=False)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        np.testing.assert_allclose(tape.gradient(value, x), expected, rtol=1e-6)


def test_a_model_without_weights_takes_no_memory_name_or_seed() -> None:
    """Its weights would take 12 GB."""
    count = 65 * 1_000_000 + 1_000_001 * 3000 + 3001 * 4
    keras.backend.clear_session()
    random.seed(0)
    with compat.without_weights():
        assert MLP((1_000_000, 3000)).encoder((8, 8, 1), 4).count_params() == count
    drawn = random.random()
    random.seed(0)
    assert random.random() == drawn
    assert [layer.name for layer in MLP((2,)).encoder((8, 8, 1), 4).layers] == [
        "images",
        "flatten",
        "dense",
        "posterior",
    ]
