"""The record of a run: its status, its epochs, its event files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.util import tensor_util

from tests.reading import events_of, history_of, scalars_of
from vae import VAE
from vae.distributed.strategies import WorkerLostError
from vae.errors import NonFiniteError, UserError
from vae.kl import Analytic, KerasLoss, KLRegularizer, MonteCarlo
from vae.objectives import ELBO
from vae.training.audit import Audit
from vae.training.callbacks import warn_of_effective_beta
from vae.training.checkpoints import checkpoints_in
from vae.training.record import EpochRecorder, OptimizationQuantities, RunRecord
from vae.training.tensorboard import TensorBoardLog


def status_of(directory: Path) -> dict[str, object]:
    summary: dict[str, object] = json.loads((directory / "summary.json").read_text())
    return summary


def test_running_inside_and_finished_after(tmp_path: Path) -> None:
    with RunRecord(tmp_path, seed=1, kl="analytic") as record:
        assert status_of(tmp_path)["status"] == "running"
        record.update(epochs=2)
    assert status_of(tmp_path)["status"] == "finished"
    assert (status_of(tmp_path)["epochs"], status_of(tmp_path)["seed"]) == (2, 1)


ENDS = [
    (KeyboardInterrupt(), SystemExit, "interrupted", "130"),
    (NonFiniteError("train/loss became nan in epoch 3"), NonFiniteError, "diverged", "train/loss became nan"),
    (RuntimeError("a callback of the user's"), RuntimeError, "failed", "a callback of the user's"),
    (OSError(28, "No space left on device"), UserError, "failed", "cannot be written (No space left on device)"),
    (WorkerLostError("another worker ended"), UserError, "interrupted", "on all workers: python train.py resume="),
]


@pytest.mark.parametrize(("error", "raised", "status", "words"), ENDS)
def test_every_other_end(
    error: BaseException, raised: type[BaseException], status: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(raised) as caught, RunRecord(tmp_path, seed=0, kl="backend"):
        raise error
    assert status_of(tmp_path)["status"] == status
    assert words in str(caught.value)


def test_a_worker_that_is_not_the_chief_writes_nothing(tmp_path: Path) -> None:
    with RunRecord(tmp_path, writes=False, seed=0, kl="backend") as record:
        record.update(epochs=3)
    assert not list(tmp_path.iterdir())


def test_checkpoints_are_ordered_by_step_not_by_name(tmp_path: Path) -> None:
    names = ["step-100000000.keras", "step-99999999.keras", "step-00000020.keras"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in checkpoints_in(tmp_path)] == names


def test_callbacks_record_a_plain_fit(
    make_vae: Callable[..., VAE], images: NDArray[np.float32], tmp_path: Path
) -> None:
    """They learn the epochs and the step from Keras and the model, at the start and when a run resumes."""
    vae = make_vae()
    record = RunRecord(tmp_path, seed=0, kl="analytic")
    board = TensorBoardLog(record.directory.tensorboard, [images[:20], images[20:40]], None, {"kl": "analytic"}, "a: 1")

    def fit(epochs: int, first_epoch: int = 0) -> None:
        callbacks = [OptimizationQuantities(0.5), EpochRecorder(record), board]
        options = {"epochs": epochs, "initial_epoch": first_epoch, "verbose": 0, "callbacks": callbacks}
        vae.fit(images, batch_size=25, validation_data=images[:10], **options)

    fit(epochs=3)
    vae.batches_seen.assign(4)  # as if the checkpoint of the second epoch had been loaded
    fit(epochs=4, first_epoch=2)
    rows = history_of(tmp_path)
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "2"), ("2", "4"), ("3", "6"), ("4", "8")]
    assert {float(row["train/effective_beta"]) for row in rows} == {0.5}
    summary = status_of(tmp_path)
    assert (summary["epochs"], summary["steps"]) == (4, 8)
    assert summary["validation"] == {
        name.removeprefix("validation/"): float(value) for name, value in rows[-1].items() if "validation/" in name
    }
    elbos = scalars_of(tmp_path / "tensorboard" / "validation")["canonical/elbo"]
    assert elbos == [(epoch, pytest.approx(float(row["validation/elbo"]))) for epoch, row in enumerate(rows, 1)]
    points = np.loadtxt(tmp_path / "tensorboard" / "validation" / "posterior_means.tsv")
    np.testing.assert_allclose(points, vae.encode(images[:40]).mean, rtol=1e-4, atol=1e-6)


def test_an_effective_beta_that_does_not_exist_is_null_and_empty(
    make_vae: Callable[..., VAE], images: NDArray[np.float32], tmp_path: Path
) -> None:
    vae = make_vae()
    record = RunRecord(tmp_path, seed=0, kl="analytic")
    board = TensorBoardLog(record.directory.tensorboard, [images[:20]], None, {"kl": "analytic"}, "a: 1")
    callbacks = [OptimizationQuantities(None), EpochRecorder(record), board]
    vae.fit(images, batch_size=25, epochs=2, validation_data=images[:10], verbose=0, callbacks=callbacks)
    assert status_of(tmp_path)["effective_beta"] is None
    assert [row["train/effective_beta"] for row in history_of(tmp_path)] == ["", ""]
    tags = scalars_of(tmp_path / "tensorboard" / "train")
    assert "optimization/beta" in tags
    assert "optimization/effective_beta" not in tags


@pytest.mark.thorough
def test_an_epoch_is_one_event_of_each_run(
    make_vae: Callable[..., VAE], images: NDArray[np.float32], tmp_path: Path
) -> None:
    """However many quantities there are: those of the audit's ten latent variables, too."""
    vae = make_vae(latents=10)
    board = TensorBoardLog(tmp_path, [tf.constant(images[:20])], None, {"kl": "analytic"}, "a: 1")
    callbacks = [OptimizationQuantities(1.0), Audit({"trained": vae.kl}, images[:20], False), board]
    vae.fit(images, batch_size=25, epochs=40, validation_data=images[:10], verbose=0, callbacks=callbacks)
    for run, epochs_with_pictures in (("train", 0), ("validation", 9)):
        (file,) = (path for path in (tmp_path / run).glob("events*") if not path.name.endswith("-start"))
        events = [Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file))]
        scalars = [event for event in events if any("/elbo" in value.tag for value in event.summary.value)]
        assert [event.step for event in scalars] == list(range(1, 41))
        of_epochs = [event for event in events if event.step and event.summary.value]
        assert len(of_epochs) == 40 + 2 * epochs_with_pictures
    histograms = events_of(tmp_path / "validation").Tensors("units/kl_per_latent")
    assert len(histograms) == 40
    counts = tensor_util.make_ndarray(histograms[-1].tensor_proto)[:, 2]
    assert counts.sum() == 10


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("kl", "options", "words"),
    [
        (Analytic("reverse"), {}, "kl.direction=reverse is D[p||q]; the ELBO's KL is D[q||p]"),
        (Analytic(), {"objective": ELBO(capacity=2.0)}, "the weight is beta above it and minus beta below it"),
        (Analytic(), {"objective": ELBO(free_bits=0.5)}, "a group of latent variables below it has no weight"),
        (Analytic("reverse"), {"beta": 0.0}, "weight of"),
        (KerasLoss(), {"beta": 2.0}, "effective beta is 0.5, not 2: the regularizer is 0.25 times the canonical KL."),
    ],
)
def test_the_warning_says_why(kl: KLRegularizer, options: Any, words: str, make_vae: Callable[..., VAE]) -> None:
    vae = make_vae(kl, **options)
    with pytest.warns(UserWarning, match="effective beta") as caught:
        warn_of_effective_beta(vae, vae.regularizer_scale(20), 20)
    assert words in str(caught[0].message)


@pytest.mark.thorough
def test_the_exact_kl_and_its_estimate_warn_of_nothing(make_vae: Callable[..., VAE]) -> None:
    for kl in (Analytic(), MonteCarlo()):  # warnings are errors here
        vae = make_vae(kl)
        scale = vae.regularizer_scale(20)
        assert scale.factor == 1.0
        warn_of_effective_beta(vae, scale, 20)


def test_an_epoch_that_is_not_finite_is_not_recorded(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    recorder = EpochRecorder(RunRecord(tmp_path, seed=0, kl="analytic"))
    recorder.set_model(make_vae())
    recorder.on_train_begin()
    with pytest.raises(NonFiniteError, match=r"validation/kl became nan in epoch 3.*optimizer\.learning_rate"):
        recorder.on_epoch_end(2, {"loss": 1.0, "val_elbo": -1.0, "val_kl": float("nan")})
    assert not list(tmp_path.iterdir())
