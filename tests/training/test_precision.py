"""Half precision in the hidden layers; KL, likelihood and metrics in float32."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from tests.training.fitting import Arrays, fit_and_record, grey_images
from vae import VAE
from vae.training.checkpoints import latest_checkpoint

MakeVAE = Callable[..., VAE]


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


DATA = Arrays(grey_images(120)[:80], grey_images(120)[80:])


def test_what_is_rounded_and_what_is_not(policy: str, make_vae: MakeVAE, images: Any) -> None:
    """Hidden layers compute in the half precision; the posterior, the loss and its terms are float32's."""
    keras.utils.set_random_seed(0)
    vae = make_vae()
    assert vae.encoder.get_layer("dense").compute_dtype == policy.removeprefix("mixed_")
    assert all(weight.dtype == "float32" for weight in vae.trainable_weights)
    outputs = vae(images, training=True)
    assert {outputs[name].dtype.name for name in ("posterior", "z", "likelihood")} == {"float32"}
    keras.config.set_dtype_policy("float32")
    exact = make_vae()
    exact.set_weights(vae.get_weights())
    found, expected = (model.evaluate(images, verbose=0, return_dict=True) for model in (vae, exact))
    # bfloat16 rounds each image, weight and hidden unit by up to 2^-9, and the KL is quadratic in what comes of them
    assert found == pytest.approx(expected, rel=2 * 2**-9)
    assert found != expected


@pytest.mark.thorough
def test_float16_s_scale_goes_on_where_it_was(make_vae: MakeVAE, tmp_path: Path) -> None:
    """Keras's LossScaleOptimizer starts at 2^15; a resumed run goes on with the scale that it had found."""
    vae = make_vae()
    vae.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-3)))
    vae.optimizer.build(vae.trainable_variables)
    vae.optimizer.dynamic_scale.assign(512.0)
    fit_and_record(vae, tmp_path, DATA, epochs=2, engine="keras")
    model, progress = latest_checkpoint(tmp_path / "checkpoints", "resume")
    fit_and_record(model, tmp_path, DATA, epochs=3, engine="keras", start=progress)
    assert float(model.optimizer.dynamic_scale.numpy()) == 512.0
    assert int(model.optimizer.step_counter.numpy()) == int(model.batches_seen.numpy()) == 12
