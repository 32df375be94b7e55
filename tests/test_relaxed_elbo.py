"""The ELBO of discrete latent variables in training: of true draws, while the loss has the relaxed ones'."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from vae import VAE
from vae.latents import BernoulliLatent, CategoricalLatent


def exact_reconstruction(vae: VAE, images: NDArray[np.float32]) -> float:
    """-E[log p(x|z)] of one categorical variable of three values, by enumeration in float64."""
    logits = vae.encoder(images).numpy().astype(np.float64)
    q = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    decoded = vae.decode(np.eye(3, dtype=np.float32)).numpy().astype(np.float64)
    x = images[:, np.newaxis].astype(np.float64)
    log_p = (x * decoded - np.logaddexp(0.0, decoded)).sum(axis=(2, 3, 4))
    return float(-(q * log_p).sum(axis=1).mean())


def frozen(make_vae: Callable[..., VAE], straight_through: bool) -> VAE:
    """A model that does not learn, whose decoder is steep enough that relaxed draws have another reconstruction."""
    vae = make_vae(latents=CategoricalLatent(1, classes=3, straight_through=straight_through))
    for layer in vae.decoder.layers:
        for weight in layer.weights:
            weight.assign(4.0 * weight)
    vae.compile(keras.optimizers.SGD(0.0))
    return vae


@pytest.mark.parametrize("straight_through", [False, True])
def test_the_training_elbo_is_that_of_true_draws(
    straight_through: bool, make_vae: Callable[..., VAE], images: NDArray[np.float32]
) -> None:
    vae = frozen(make_vae, straight_through)
    exact = exact_reconstruction(vae, images)
    history = vae.fit(np.tile(images, (20, 1, 1, 1)), batch_size=50, epochs=10, shuffle=False, verbose=0).history
    reconstruction = np.array(history["reconstruction"])
    error = reconstruction.std(ddof=1) / np.sqrt(len(reconstruction))
    assert abs(reconstruction.mean() - exact) < 4.0 * error < 0.5
    assert np.array(history["elbo"]) == pytest.approx(-(reconstruction + np.array(history["kl"])), rel=1e-6)
    minimized = np.array(history["loss"]) - np.array(history["regularizer"])
    if straight_through:  # the decoder sees the true draws
        assert minimized == pytest.approx(reconstruction, rel=1e-5)
    else:
        assert abs(minimized.mean() - exact) > 5.0 * error


def test_true_draws_are_decoded_as_in_evaluation(make_vae: Callable[..., VAE], images: NDArray[np.float32]) -> None:
    """Dropout is a part of the loss, and not of the ELBO in the logs."""
    plain = frozen(make_vae, straight_through=False)
    z = keras.Input((3,))
    decoder = keras.Model(z, plain.decoder(keras.layers.Dropout(0.5)(z)))
    dropping = VAE(plain.encoder, decoder, plain.latent, plain.likelihood, plain.kl)
    dropping.compile(keras.optimizers.SGD(0.0))
    logs = [vae.fit(images, batch_size=25, shuffle=False, verbose=0).history for vae in (plain, dropping)]
    assert logs[1]["reconstruction"] == pytest.approx(logs[0]["reconstruction"], rel=1e-6)
    assert logs[1]["loss"] != pytest.approx(logs[0]["loss"], rel=1e-2)


@pytest.mark.thorough
def test_the_extra_pass_changes_no_training(make_vae: Callable[..., VAE], images: NDArray[np.float32]) -> None:
    """Gradients are those of the loss alone."""

    class Unmeasured(BernoulliLatent):
        is_relaxed = False

    weights = []
    for family in (BernoulliLatent(4), Unmeasured(4)):
        vae = make_vae(latents=family)
        vae.fit(images, batch_size=25, epochs=2, verbose=0)
        weights.append(vae.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
