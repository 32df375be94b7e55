"""A checkpoint is compared with the model, the data and the configuration before a resume writes anything."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.fitting import Arrays, grey_images
from vae import VAE
from vae.errors import UserError
from vae.runs.paths import RunDirectory
from vae.training import Checkpoints, Progress, RunRecord, TrainingOptions, checked_progress

DATA = Arrays(grey_images(200), grey_images(20))
OPTIONS = TrainingOptions(epochs=3, batch_size=20)  # of ten steps each
MEANS = [np.float32(60 * 30.0), np.float32(60), 60 * np.array([30, 4, 26, 5], np.float32), np.float32(60)]
EARLY = "0-EarlyStopping"


def of_step(vae: VAE, steps: int) -> VAE:
    vae.batches_seen.assign(steps)
    return vae


def checked(
    folder: Path, start: Progress, vae: VAE, callbacks: Sequence[keras.callbacks.Callback] = (), **options: Any
) -> Progress:
    optimizer = keras.optimizers.Adam(1e-3)
    return checked_progress(RunDirectory(folder), start, vae, optimizer, callbacks, replace(OPTIONS, **options), DATA)


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_an_interrupted_epoch_gets_its_running_means_back(
    version: str, make_vae: Callable[..., VAE], tmp_path: Path
) -> None:
    """60 examples in three steps of the 301st epoch: loss, regularizer, reconstruction and KL were 30, 4, 26 and 5."""
    loss_total, loss_count, totals, weight = map(np.asarray, MEANS)
    means = [loss_total, loss_count, totals[1:] if version == "0.1.0" else totals, weight]
    vae = of_step(make_vae(), 3003)
    start = checked(tmp_path, Progress(3003, means=means), vae, epochs=302)
    checkpoints = Checkpoints(RunRecord(tmp_path), (), OPTIONS, DATA.size("train"), start)
    checkpoints.set_model(vae)
    checkpoints.on_epoch_begin(300)
    found = {name: float(value) for name, value in vae.get_metrics_result().items()}
    assert found == pytest.approx({"loss": 30, "regularizer": 4, "elbo": -31, "reconstruction": 26, "kl": 5})
    vae.reset_metrics()  # as Keras does before each epoch
    checkpoints.on_epoch_begin(301)
    assert all(np.all(variable.numpy() == 0) for variable in vae.metrics_variables)


def test_means_of_an_epoch_that_is_over_are_left_out(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    assert checked(tmp_path, Progress(20, means=MEANS), of_step(make_vae(), 20)).means == []


@pytest.mark.parametrize("means", [[], [np.asarray("abc")], [np.asarray(3)], [*MEANS[:3], np.asarray(60)]])
def test_a_checkpoint_within_an_epoch_has_the_means_so_far(
    means: list[NDArray[Any]], make_vae: Callable[..., VAE], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"^resume={tmp_path}: the checkpoint of step 23 lacks the means"):
        checked(tmp_path, Progress(23, means=means), of_step(make_vae(), 23))


@pytest.mark.parametrize(
    "means",
    [
        [np.ones(3)],
        [np.ones(3)] * 9,
        [*MEANS[:3], np.float32(np.nan)],
        [*MEANS[:2], MEANS[2] + np.float32(np.inf), MEANS[3]],
        [np.ones((70_000, 1)), np.ones(()), np.ones(3), np.ones((1, 70_000))],  # whose product takes 37 GB
        [np.float32(60), np.float32(0), np.ones(3, np.float32), np.float32(60)],  # of 0.1.0, without an image
    ],
    ids=["one", "nine", "nan", "infinite", "huge", "empty"],
)
def test_running_means_of_another_model_are_refused(
    means: list[NDArray[Any]], make_vae: Callable[..., VAE], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="the checkpoint of step 23 has other means of the epoch so far than the model"):
        checked(tmp_path, Progress(23, means=means), of_step(make_vae(), 23))


@pytest.mark.parametrize("counted", [0, 19, 21, -20, 2**63 - 5])
def test_the_model_is_of_the_step_of_its_checkpoint(counted: int, make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    """The steps of the history and the names of the checkpoints follow the model."""
    with pytest.raises(UserError, match=f"the checkpoint of step 20 holds the model of step {counted};"):
        checked(tmp_path, Progress(20), of_step(make_vae(), counted))


def test_the_model_is_for_the_images_of_the_data(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    told = r"the checkpoint of step 20 holds a model of images of \(9, 8, 1\); those of the data are \(8, 8, 1\)"
    with pytest.raises(UserError, match=told):
        checked(tmp_path, Progress(20), of_step(make_vae(image_shape=(9, 8, 1)), 20))


def decay(steps: int, name: str = "CosineDecay") -> keras.optimizers.schedules.LearningRateSchedule:
    return keras.optimizers.schedules.CosineDecay(1e-3, steps, name=name)


def scaled(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    return keras.optimizers.LossScaleOptimizer(optimizer)


@pytest.mark.parametrize(
    ("trained", "configured", "is_same"),
    [
        (keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3), True),
        (keras.optimizers.Adam(1e-5, name="adam_7"), keras.optimizers.Adam(1e-3), True),  # as a plateau reduced it
        (scaled(keras.optimizers.Adam(1e-5)), scaled(keras.optimizers.Adam(1e-3)), True),
        (keras.optimizers.Adam(decay(9)), keras.optimizers.Adam(decay(9)), True),
        (keras.optimizers.Adam(decay(9)), keras.optimizers.Adam(decay(8)), False),
        (keras.optimizers.Adam(decay(9)), keras.optimizers.Adam(1e-3), False),
        (keras.optimizers.Adam(1e-3, name="a b"), keras.optimizers.Adam(1e-3), False),  # which is no scope of a graph
        (keras.optimizers.Adam(decay(9, "a b")), keras.optimizers.Adam(decay(9)), False),
        (keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3, use_ema=True), False),
        (scaled(keras.optimizers.Adam(1e-3)), scaled(keras.optimizers.Adam(1e-3, use_ema=True)), False),
        (keras.optimizers.Adam(1e-3), scaled(keras.optimizers.Adam(1e-3)), False),
        (keras.optimizers.Adam(1e-3), keras.optimizers.Nadam(1e-3), False),
        (None, keras.optimizers.Adam(1e-3), False),
    ],
)
def test_the_optimizer_is_the_configured_one(
    trained: keras.optimizers.Optimizer | None,
    configured: keras.optimizers.Optimizer,
    is_same: bool,
    make_vae: Callable[..., VAE],
    tmp_path: Path,
) -> None:
    """`SwapEMAWeights` fails in mid-training without averages, and another schedule trains another run."""
    vae = of_step(make_vae(), 20)
    vae.compile(trained)

    def check() -> Progress:
        return checked_progress(RunDirectory(tmp_path), Progress(20), vae, configured, (), OPTIONS, DATA)

    if is_same:
        assert check().steps == 20
    else:
        with pytest.raises(UserError, match=f"^resume={tmp_path}: the checkpoint of step 20 has another optimizer"):
            check()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wait", "text"),
        ("wait", np.zeros(3)),
        ("wait", True),
        ("best", "text"),
        ("best", np.zeros(3)),
        ("best", True),
        ("best", np.longdouble(1)),
        ("best_weights", [np.zeros(3, np.float32)]),
        ("best_weights", np.longdouble),
        ("best_weights", np.nan),
        ("wait", [np.zeros(3, np.float32)]),
        ("_model", 3),
        ("monitor_op", 3),
    ],
)
def test_a_state_that_a_callback_of_keras_cannot_have_is_refused(
    name: str, value: Any, make_vae: Callable[..., VAE], tmp_path: Path
) -> None:
    """It would fail in mid-training, with a traceback."""
    vae, callback = of_step(make_vae(), 10), keras.callbacks.EarlyStopping("val_elbo", mode="max")
    if value is np.longdouble or value is np.nan:
        first, *others = vae.get_weights()
        value = [first.astype(value) if value is np.longdouble else first * value, *others]
    told = f"the checkpoint of step 10 gives EarlyStopping.{name} a value that it cannot have"
    with pytest.raises(UserError, match=f"^resume={tmp_path}: {told}"):
        checked(tmp_path, Progress(10, states={EARLY: {"wait": 2, name: value}}), vae, [callback])
    assert not hasattr(callback, "best_epoch")  # its training has not begun


def restored(
    callback: keras.callbacks.Callback, state: dict[str, Any], vae: VAE, folder: Path
) -> keras.callbacks.Callback:
    states = {f"0-{type(callback).__name__}": state}
    start = checked(folder, Progress(10, states=states), of_step(vae, 10), [callback])
    checkpoints = Checkpoints(RunRecord(folder), [callback], OPTIONS, DATA.size("train"), start)
    for each in (callback, checkpoints):
        each.set_model(vae)
    callback.on_train_begin()
    checkpoints.on_train_begin()
    return callback


def test_options_methods_and_foreign_names_of_a_state_are_left_out(
    make_vae: Callable[..., VAE], tmp_path: Path
) -> None:
    kept = {"best": -3.0, "wait": 2, "best_epoch": 4}
    foreign = {"on_epoch_end": 3, "close": 3, "model": 3, "nothing": 3, "monitor": "val_kl", "patience": -1, "mode": 7}
    vae, callback = make_vae(), keras.callbacks.EarlyStopping("val_elbo", mode="max", patience=9)
    weights = vae.get_weights()
    restored(callback, {**kept, **foreign, "best_weights": weights}, vae, tmp_path)
    assert {name: getattr(callback, name) for name in kept} == kept
    assert len(callback.best_weights) == len(weights)
    assert not {"on_epoch_end", "close", "model", "nothing"} & vars(callback).keys()
    assert (callback.monitor, callback.patience, callback.mode) == ("val_elbo", 9, "max")


class Stops(keras.callbacks.EarlyStopping):
    """A user's own, which may change its options."""


@pytest.mark.parametrize(
    ("callback", "kept"),
    [
        (keras.callbacks.ReduceLROnPlateau("val_elbo", mode="max"), {"best": -3.0, "wait": 2, "cooldown_counter": 5}),
        (keras.callbacks.SwapEMAWeights(), {"_ema_weights_in_model": True}),
        (keras.callbacks.EarlyStopping("val_elbo", mode="max"), {"best": -3.0, "wait": 2, "stopped_epoch": 4}),
        (Stops("val_elbo", mode="max", patience=9), {"best": -3.0, "wait": 2, "patience": 5, "own": "word"}),
    ],
    ids=lambda case: type(case).__name__,
)
def test_a_callback_of_keras_gets_its_progress_back(
    callback: keras.callbacks.Callback, kept: dict[str, Any], make_vae: Callable[..., VAE], tmp_path: Path
) -> None:
    restored(callback, kept, make_vae(), tmp_path)
    assert {name: getattr(callback, name) for name in kept} == kept


@pytest.mark.parametrize(
    ("start", "is_over"),
    [(Progress(29, means=MEANS), False), (Progress(30), True), (Progress(10, stopped=True), True)],
)
def test_a_run_that_is_over_needs_its_history(
    start: Progress, is_over: bool, make_vae: Callable[..., VAE], tmp_path: Path
) -> None:
    vae, history = of_step(make_vae(), start.steps), RunDirectory(tmp_path).history
    names = [f"{split}/{name}" for split in ("train", "validation") for name in vae.get_metrics_result()]
    columns = {"epoch": 1, "step": start.steps, **dict.fromkeys([*names, "train/beta"], 1.0)}
    incomplete: list[str | None] = [None, "epoch", "validation/elbo", "train/beta"]
    for missing in incomplete if is_over else []:
        write(history, {} if missing is None else columns, missing)
        with pytest.raises(UserError, match=r"no epoch is left to train, and its history.csv is missing or damaged"):
            checked(tmp_path, start, vae)
    write(history, {**columns, "step": start.steps + 1}, None)
    if is_over:
        with pytest.raises(UserError, match=r"history.csv is missing or damaged"):
            checked(tmp_path, start, vae)
    write(history, columns, None)
    assert checked(tmp_path, start, vae) == start


def write(history: Path, columns: dict[str, float], missing: str | None) -> None:
    kept = {name: value for name, value in columns.items() if name != missing}
    history.write_text(",".join(kept) + "\n" + ",".join(map(str, kept.values())) + "\n")


@pytest.mark.parametrize("steps", [10, 30])
def test_a_history_that_is_not_read_stops_a_resume(steps: int, make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    """In the middle of the run it would stop the training later, and at its end it would be written anew."""
    history = RunDirectory(tmp_path).history
    history.touch()
    os.truncate(history, 8 * 2**30)
    with pytest.raises(UserError, match=r"history.csv: has 8,192 MiB"):
        checked(tmp_path, Progress(steps), of_step(make_vae(), steps))
