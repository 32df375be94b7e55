"""NaN and infinity are found at the step where they first appear, and what was finite is kept."""

import math
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.conftest import run_script
from tests.reading import summary_of

pytestmark = pytest.mark.thorough  # several runs in processes of their own

NAN_KL = '''
import tensorflow as tf
from vae.kl import Analytic


class Breaking(Analytic):
    """The closed form, but NaN, or of a NaN gradient only, at the step `breaks_at`."""

    def __init__(self, direction="forward", breaks_at=0, gradient_only=False):
        super().__init__(direction)
        self.breaks_at = breaks_at
        self.gradient_only = gradient_only

    def per_latent(self, posterior, prior, z, *, key):
        values = super().per_latent(posterior, prior, z, key=key)
        # A training step's key is (seed and stream, step); validation has a key for each image
        broken = key.value.shape.rank == 1 and key.value[1] == self.breaks_at
        if self.gradient_only:
            whole = 1.0 - tf.cast(broken, tf.float32)
            return values + tf.sqrt(whole + 0.0 * posterior.mu) - whole  # whose value is 0 either way
        return tf.where(broken, float("nan"), values)
'''


@pytest.mark.parametrize("engine", ["compiled", "keras"])
@pytest.mark.parametrize(("gradient_only", "quantity"), [("false", "regularizer"), ("true", "the weight")])
def test_the_step_and_the_quantity_are_named(engine: str, gradient_only: str, quantity: str, tmp_path: Path) -> None:
    """Ten steps an epoch: step 17 is the seventh of the second one; the engine goes in chunks of four."""
    (tmp_path / "breaking.py").write_text(NAN_KL)
    options = [
        "kl._target_=breaking.Breaking",
        "kl.breaks_at=16",
        f"kl.gradient_only={gradient_only}",
        f"trainer.engine={engine}",
        "trainer.chunk=4",
        "trainer.epochs=4",
        "data.take=200",
        "trainer.batch_size=20",
        "audit=none",
    ]
    ended = run_script("train.py", *options, "hydra.run.dir=run", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert ended.status == 1
    assert ended.stderr.count("\n") == 1
    assert f"{quantity}" in ended.stderr
    assert "became NaN or infinite in training step 17; the last finite values: " in ended.stderr
    summary = summary_of(tmp_path / "run")
    assert summary["status"] == "diverged"
    assert summary["diverged"]["step"] == 17
    assert all(math.isfinite(value) for value in summary["diverged"]["last"].values())
    assert set(summary["diverged"]["last"]) >= {"loss", "kl", "reconstruction", "regularizer", "elbo"}
    assert max((tmp_path / "run" / "checkpoints").glob("step-*.keras")).stem == "step-00000016"


def test_what_is_kept_is_the_model_before_that_step(tmp_path: Path) -> None:
    """Its weights are those of a run that ended there: sixteen steps, of which four are of a second epoch."""
    (tmp_path / "breaking.py").write_text(NAN_KL)
    common = [
        "trainer.batch_size=20",
        "data.take=160",
        "audit=none",
        "trainer.epochs=2",
        "kl._target_=breaking.Breaking",
    ]
    for name, breaks_at in (("broken", 15), ("whole", 100)):
        options = [*common, "kl._target_=breaking.Breaking", f"kl.breaks_at={breaks_at}", f"hydra.run.dir={name}"]
        run_script("train.py", *options, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert summary_of(tmp_path / "whole")["status"] == "finished"
    sys.path.insert(0, str(tmp_path))
    try:
        import breaking  # noqa: F401  (registers the class with Keras)
    finally:
        sys.path.remove(str(tmp_path))
    kept = keras.models.load_model(tmp_path / "broken" / "checkpoints" / "step-00000015.keras")
    assert int(kept.batches_seen.numpy()) == 15
    assert all(np.isfinite(weight).all() for weight in kept.get_weights())
    # One more step, of the last batch of epoch two, and it is the whole run's: so nothing was lost or done twice
    ended = keras.models.load_model(tmp_path / "whole" / "model.keras")
    distances = [
        np.abs(before - after).max()
        for before, after in zip(kept.trainable_weights, ended.trainable_weights, strict=True)
    ]
    assert 0 < max(distances) < 2e-3  # Adam's step is its learning rate, 0.001, at most some times that
