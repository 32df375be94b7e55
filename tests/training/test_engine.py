"""The compiled engine against Keras's own steps: one seed, one trajectory."""

import csv
import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from vae import VAE, training
from vae.data import training_batches
from vae.kl import KerasLoss
from vae.networks import Conv
from vae.training import engine as engines
from vae.training.engine import chosen_engine, training_chunks

MakeVAE = Callable[..., VAE]


def grey_images(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)


def trained(vae: VAE, directory: Path, engine: str, count: int = 80, **options: Any) -> list[dict[str, str]]:
    """Trains on images in batches of 20, and gives the rows of the history."""
    directory.mkdir()
    images = grey_images(120)
    source: Any = SimpleNamespace(train=images[:count], validation=images[count:])
    with training.RunRecord(directory, seed=0, kl="analytic") as record:
        training.fit(
            vae,
            source,
            record,
            **{"epochs": 20, "batch_size": 20, "binarization": "dynamic", "audit": {}, "options": {}, **options},
            engine=engine,
            configuration="",
        )
    assert record.summary["engine"] == engine
    with (directory / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


FIGURES = [f"{split}/{name}" for split in ("train", "validation") for name in ("loss", "elbo", "kl", "reconstruction")]


def figures(rows: list[dict[str, str]]) -> NDArray[np.float64]:
    return np.array([[float(row[name]) for name in FIGURES] for row in rows])


@pytest.mark.parametrize("kl", [None, KerasLoss("symmetric", calibrate=True)], ids=["analytic", "keras_loss"])
def test_a_hundred_steps_are_the_same_to_rounding(kl: Any, make_vae: MakeVAE, tmp_path: Path) -> None:
    """Five steps an epoch, the last on a smaller batch; twenty epochs."""
    compiled, stepwise = make_vae(kl), make_vae(kl)
    rows = [
        trained(vae, tmp_path / name, name, count=90) for vae, name in ((compiled, "compiled"), (stepwise, "keras"))
    ]
    assert np.allclose(*map(figures, rows), rtol=2e-5)
    assert int(compiled.batches_seen.numpy()) == int(stepwise.batches_seen.numpy()) == 100
    assert int(compiled.optimizer.iterations.numpy()) == 100
    for left, right in zip(compiled.trainable_weights, stepwise.trainable_weights, strict=True):
        assert np.allclose(left, right, atol=2e-4)  # Adam divides tiny gradients by their own size


def test_one_seed_twice_is_the_same_to_the_bit(make_vae: MakeVAE, tmp_path: Path) -> None:
    vaes = [make_vae(), make_vae()]
    for vae, name in zip(vaes, "ab", strict=True):
        trained(vae, tmp_path / name, "compiled", epochs=4)
    assert all(np.array_equal(*pair) for pair in zip(*(vae.get_weights() for vae in vaes), strict=True))


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


def test_the_model_is_a_plain_keras_model_afterwards(make_vae: MakeVAE, tmp_path: Path) -> None:
    vae = make_vae()
    trained(vae, tmp_path / "run", "compiled", epochs=1)
    before = int(vae.batches_seen.numpy())
    vae.fit(grey_images(40).astype(np.float32) / 255, batch_size=10, verbose=0)
    assert int(vae.batches_seen.numpy()) == before + 4


@pytest.mark.parametrize(("count", "longest"), [(90, 200), (80, 200), (90, 2), (100, 3), (20, 1), (400, 7)])
def test_chunks_hold_the_batches_in_their_order(count: int, longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LONGEST_CHUNK", longest)
    images = np.stack(divmod(np.arange(count), 256), axis=-1).astype(np.uint8).reshape(count, 1, 2, 1)  # says which
    chunks, calls = training_chunks(count, 20, seed=3, first_epoch=1)
    steps = -(-count // 20)
    expected = [
        (np.round(batch.numpy() * 255).astype(int)[:, 0, :, 0] @ [256, 1]).tolist()
        for batch in itertools.islice(training_batches(images, 20, "none", 3, 1), 2 * steps)
    ]
    found = []
    for first, length, indices in itertools.islice(chunks.as_numpy_iterator(), 2 * calls):
        assert first == steps + len(found)  # the first epoch lies behind
        assert length <= longest
        found += [row.tolist() for row in indices[:length]]
    assert found == expected


def test_auto_takes_the_library_s_convolutions_on_the_cpu(make_vae: MakeVAE) -> None:
    dense, convolutional = make_vae(), make_vae(network=Conv((4,), 8))
    assert chosen_engine("auto", dense) == "compiled"
    assert chosen_engine("auto", convolutional) == "keras"
    assert chosen_engine("compiled", convolutional) == "compiled"
    assert chosen_engine("keras", dense) == "keras"
