"""The part of a checkpoint that Keras does not save."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vae import VAE
from vae.training import Checkpoints, Progress, RunRecord, TrainingOptions


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_an_interrupted_epoch_gets_its_running_means_back(
    version: str, make_vae: Callable[..., VAE], tmp_path: Path
) -> None:
    """60 examples so far, whose loss, regularizer, reconstruction and KL were 30, 4, 26 and 5 on average."""
    totals = 60.0 * np.array([30.0, 4.0, 26.0, 5.0], np.float32)
    kept = [np.float32(60 * 30.0), np.float32(60), totals[1:] if version == "0.1.0" else totals, np.float32(60)]
    state = {f"metrics/values/{place:06d}": np.asarray(value) for place, value in enumerate(kept)}
    vae = make_vae()
    options = TrainingOptions(epochs=2, batch_size=20)
    checkpoints = Checkpoints(RunRecord(tmp_path), (), options, images=200, start=Progress(steps=13, state=state))
    checkpoints.set_model(vae)
    checkpoints.on_epoch_begin(1)
    means = {name: float(value) for name, value in vae.get_metrics_result().items()}
    assert means == pytest.approx({"loss": 30, "regularizer": 4, "elbo": -31, "reconstruction": 26, "kl": 5})
