"""The training loop against Keras's own `fit`: one seed, one trajectory."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tests.training.fitting import Arrays, fit_and_record, grey_images
from vae import VAE
from vae.data import StoredImages, epoch_order, training_images
from vae.kl import Backend, KerasLoss
from vae.networks import Conv
from vae.training.loop import chosen_engine

MakeVAE = Callable[..., VAE]


def trained(
    vae: VAE, directory: Path, engine: str, count: int = 80, images: Any = None, weights: Any = None, **options: Any
) -> list[dict[str, str]]:
    """Train on images in batches of 20, and return the rows of the history."""
    directory.mkdir()
    images = grey_images(120) if images is None else images
    data = Arrays(images[:count], images[count:], weights)
    record = fit_and_record(vae, directory, data, engine=engine, **options)
    assert record.summary["engine"] == engine
    with (directory / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


QUANTITIES = [
    f"{split}/{name}" for split in ("train", "validation") for name in ("loss", "elbo", "kl", "reconstruction")
]


def quantities(rows: list[dict[str, str]]) -> NDArray[np.float64]:
    return np.array([[float(row[name]) for name in QUANTITIES] for row in rows])


def fitted_by_keras(
    vae: VAE, images: NDArray[np.uint8], epochs: int, weights: NDArray[np.float32] | None = None
) -> list[dict[str, float]]:
    """Take Keras's own steps on batches cut here from each epoch's order, and return the means of each epoch."""
    means = []
    for epoch in range(epochs):
        order = epoch_order(len(images), 0, epoch).numpy()
        cuts = [order[first : first + 20] for first in range(0, len(images), 20)]
        logs = []
        for cut in cuts:
            batch = training_images(tf.constant(images[cut]), "dynamic", 0, int(vae.batches_seen.numpy()))
            weight = None if weights is None else weights[cut]
            logs.append(vae.train_on_batch(batch, sample_weight=weight, return_dict=True))  # of this batch alone
        sizes = [len(cut) if weights is None else weights[cut].sum() for cut in cuts]
        means.append({name: np.average([float(log[name]) for log in logs], weights=sizes) for name in logs[0]})
    return means


@pytest.mark.thorough
@pytest.mark.parametrize("engine", ["compiled", "keras"])
@pytest.mark.parametrize("kl", [None, KerasLoss("symmetric", calibrate=True)], ids=["analytic", "keras_loss"])
def test_a_hundred_steps_equal_keras_s_to_rounding(kl: Any, engine: str, make_vae: MakeVAE, tmp_path: Path) -> None:
    """Five steps an epoch, the last on a smaller batch; twenty epochs."""
    ours, stock = make_vae(kl), make_vae(kl)
    rows = trained(ours, tmp_path / "run", engine, count=90)
    logs = fitted_by_keras(stock, grey_images(120)[:90], epochs=20)
    for name in ("loss", "elbo", "kl", "reconstruction", "regularizer"):
        found, expected = [float(row[f"train/{name}"]) for row in rows], [log[name] for log in logs]
        assert found == pytest.approx(expected, rel=2e-5)
    assert int(ours.batches_seen.numpy()) == int(ours.optimizer.iterations.numpy()) == 100
    for left, right in zip(ours.trainable_weights, stock.trainable_weights, strict=True):
        assert np.allclose(left, right, atol=2e-4)  # Adam divides tiny gradients by their own size


@pytest.mark.thorough
@pytest.mark.parametrize("engine", ["compiled", "keras"])
def test_weights_of_examples_reach_every_quantity(engine: str, make_vae: MakeVAE, tmp_path: Path) -> None:
    """Held against Keras's own `sample_weight`; some weights are 0, and batches differ in their sums."""
    weights = np.random.default_rng(5).uniform(0, 2, 90).astype(np.float32) * (np.arange(90) % 3 > 0)
    ours, stock = make_vae(Backend()), make_vae(Backend())
    rows = trained(ours, tmp_path / "run", engine, count=90, weights=weights, epochs=5)
    logs = fitted_by_keras(stock, grey_images(120)[:90], epochs=5, weights=weights)
    for name in ("loss", "elbo", "kl", "reconstruction", "regularizer"):
        assert [float(row[f"train/{name}"]) for row in rows] == pytest.approx([log[name] for log in logs], rel=2e-5)
    for left, right in zip(ours.trainable_weights, stock.trainable_weights, strict=True):
        assert np.allclose(left, right, atol=2e-4)


@pytest.mark.thorough
@pytest.mark.parametrize(("engine", "chunk"), [("compiled", 3), ("compiled", 1), ("keras", 3), ("keras", 1)])
def test_the_chunk_changes_nothing(engine: str, chunk: int, make_vae: MakeVAE, tmp_path: Path) -> None:
    """Not a bit, though three does not divide the four steps of an epoch."""
    whole, cut = make_vae(), make_vae()
    rows = [trained(whole, tmp_path / "a", engine, epochs=3)]
    rows.append(trained(cut, tmp_path / "b", engine, epochs=3, chunk=chunk))
    assert all(np.array_equal(*pair) for pair in zip(whole.get_weights(), cut.get_weights(), strict=True))
    assert np.array_equal(*map(quantities, rows))


@pytest.mark.thorough
def test_images_on_disk_change_nothing(make_vae: MakeVAE, tmp_path: Path) -> None:
    resident, streamed = make_vae(), make_vae()
    np.save(tmp_path / "images.npy", grey_images(120))
    stored = StoredImages(tmp_path / "images.npy")
    rows = [trained(resident, tmp_path / "a", "compiled", epochs=3)]
    rows.append(trained(streamed, tmp_path / "b", "compiled", epochs=3, images=stored))
    assert all(np.array_equal(*pair) for pair in zip(resident.get_weights(), streamed.get_weights(), strict=True))
    assert np.array_equal(*map(quantities, rows))


@pytest.mark.thorough
def test_one_seed_twice_is_the_same_to_the_bit(make_vae: MakeVAE, tmp_path: Path) -> None:
    vaes = [make_vae(), make_vae()]
    for vae, name in zip(vaes, "ab", strict=True):
        trained(vae, tmp_path / name, "compiled", epochs=4)
    assert all(np.array_equal(*pair) for pair in zip(*(vae.get_weights() for vae in vaes), strict=True))


@pytest.mark.thorough
def test_callbacks_do_what_they_say(make_vae: MakeVAE, tmp_path: Path) -> None:
    """A learning rate set at an epoch's begin holds in that epoch; a stop stops."""

    class StopAfterThree(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            self.model.stop_training = epoch == 2

    frozen = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 if epoch == 0 else 0.0)
    rows = trained(make_vae(), tmp_path / "run", "compiled", epochs=6, callbacks=[frozen, StopAfterThree()])
    assert len(rows) == 3
    assert [float(row["train/learning_rate"]) for row in rows] == pytest.approx([1e-3, 0.0, 0.0])
    validation = [float(row["validation/elbo"]) for row in rows]
    assert validation[0] == validation[1] == validation[2]


@pytest.mark.thorough
def test_the_model_is_a_plain_keras_model_afterwards(make_vae: MakeVAE, tmp_path: Path) -> None:
    vae = make_vae()
    trained(vae, tmp_path / "run", "compiled", epochs=1)
    before = int(vae.batches_seen.numpy())
    vae.fit(grey_images(40).astype(np.float32) / 255, batch_size=10, verbose=0)
    assert int(vae.batches_seen.numpy()) == before + 4


def test_auto_runs_convolutions_by_tensorflow_s_kernels_on_a_cpu(make_vae: MakeVAE) -> None:
    dense, convolutional = make_vae(), make_vae(network=Conv((4,), 8))
    assert chosen_engine("auto", dense) == "compiled"
    assert chosen_engine("auto", convolutional) == "keras"
    assert chosen_engine("compiled", convolutional) == "compiled"
    assert chosen_engine("keras", dense) == "keras"
