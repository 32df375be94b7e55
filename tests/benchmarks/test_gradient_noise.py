"""The benchmark of Monte Carlo's noise: its gradients are those of training, its figures those of the formulas."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tests.conftest import REPOSITORY, run_script
from vae import VAE

DRAWS = 400


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import gradient_noise

    return gradient_noise


def test_the_regularizers_are_those_that_are_named(benchmark: Any) -> None:
    found = benchmark.regularizers(benchmark.ESTIMATORS, [1, 4])
    options = {name: one.get_config() for name, one in found.items() if name != ("exact", None)}
    assert [name for name, count in options if count == 1] == ["total", "stl"]  # the others have at least two draws
    assert all(
        config["samples"] == count and config["direction"] == "forward" for (_, count), config in options.items()
    )
    assert {name: (config["estimator"], config["draws"]) for (name, _), config in options.items()} == {
        "total": (None, None),
        "stl": ("stl", None),
        "antithetic": (None, "antithetic"),
        "stratified": (None, "stratified"),
        "stl-antithetic": ("stl", "antithetic"),
        "stl-stratified": ("stl", "stratified"),
    }


@pytest.mark.thorough
def test_the_gradient_of_the_loss_is_that_of_training(
    benchmark: Any, make_vae: Callable[..., VAE], images: NDArray[np.float32]
) -> None:
    """Against `VAE.compute_loss` in step 3 of a model that trains with the same regularizer."""
    estimators = benchmark.regularizers(["total", "stl", "stratified"], [2])
    found = benchmark.gradient_function(make_vae(beta=0.5), estimators)(images, tf.constant(3, tf.int64))
    for name, regularizer in estimators.items():
        model = make_vae(kl=regularizer, beta=0.5)
        model.batches_seen.assign(3)
        with tf.GradientTape() as tape:
            loss = model.compute_loss(images, y_pred=model(images, training=True))
        weights = [weight.value for weight in model.trainable_weights]
        gradients = np.concatenate([np.ravel(gradient) for gradient in tape.gradient(loss, weights)])
        ours = found[benchmark.Row("loss", "all weights", *name)]
        assert np.allclose(ours, gradients, rtol=1e-4, atol=1e-5 * np.abs(gradients).max())
        encoder = found[benchmark.Row("loss", "encoder", *name)]
        assert np.array_equal(ours[: encoder.shape[0]], encoder)


@pytest.mark.thorough
def test_the_noise_at_the_encoder_s_output(
    benchmark: Any, make_vae: Callable[..., VAE], images: NDArray[np.float32]
) -> None:
    """Four draws against the closed forms for z = mu + sigma * e, in float64.

    The gradient of log q - log p is z by mu, of variance sigma^2, and -1/2 + z * sigma * e / 2 by log sigma^2, of
    variance sigma^2 * (mu^2 + 2 * sigma^2) / 4. Without the score term, z - e / sigma stands for z: the variances are
    s^2 and sigma^2 * (mu^2 + 2 * s^2) / 4 with s = sigma - 1 / sigma. A pair of e and -e has no noise by mu and the
    variance sigma^4 / 2 by log sigma^2. Gradients are divided by the batch, and variances by the draws or pairs.
    """
    samples, model = 4, make_vae()
    gradients = benchmark.gradient_function(model, benchmark.regularizers(["total", "stl", "antithetic"], [samples]))
    rows = {name: benchmark.Row("KL", "output", name, samples) for name in ("total", "stl", "antithetic")}
    kept = (*rows.values(), rows["total"].exact)

    def draws(draw: int) -> dict[Any, NDArray[np.float32]]:
        found = gradients(images, tf.constant(draw, tf.int64))
        return {name: found[name].numpy() for name in kept}

    noise = benchmark.noise_of(draws, DRAWS)
    posterior = model.encode(images)
    mu, variance = posterior.mu.numpy().astype(np.float64), np.exp(posterior.log_var.numpy().astype(np.float64))
    signal = np.sum(mu**2) + np.sum((variance - 1.0) ** 2) / 4.0
    path = (variance - 1.0) ** 2 / variance  # s^2
    traces = {
        "total": (np.sum(variance) + np.sum(variance * (mu**2 + 2.0 * variance)) / 4.0) / samples,
        "stl": (np.sum(path) + np.sum(variance * (mu**2 + 2.0 * path)) / 4.0) / samples,
        "antithetic": np.sum(variance**2) / 2.0 / (samples / 2),
    }
    # The relative standard error of the variance from 200 draws of 50 * 8 numbers is about 1 %
    for name, row in rows.items():
        assert noise[row].signal_to_noise == pytest.approx(np.sqrt(signal / traces[name]), rel=0.03), name
        assert noise[row].floor == pytest.approx(np.sqrt(traces[name] / (DRAWS / 2) / signal), rel=0.03), name
        assert noise[row].bias == pytest.approx(noise[row].floor, rel=0.3), name  # seven standard errors


def test_the_figures_of_a_known_noise(benchmark: Any) -> None:
    """Noise of variance 1, and of 4 with a bias of 3, on 1,000 numbers whose mean has a length of 5."""
    generator = np.random.default_rng(0)
    mean, shift = 5.0 * np.eye(1000)[0], 3.0 * np.eye(1000)[1]
    exact, biased = benchmark.Row("loss", "encoder", "exact", None), benchmark.Row("loss", "encoder", "biased", 1)

    def draws(draw: int) -> dict[Any, NDArray[np.float64]]:
        noise = generator.normal(size=1000)
        return {exact: mean + noise, biased: mean + shift + 2.0 * noise}

    noise = benchmark.noise_of(draws, DRAWS)
    # From 200 draws the standard error of the length is 1.5 %; without its correction it would be 9.5 % too large
    assert noise[exact].signal_to_noise == pytest.approx(5.0 / np.sqrt(1000.0), rel=0.05)
    assert noise[exact].cosine == pytest.approx(5.0 / np.sqrt(1025.0), rel=0.05)
    assert noise[exact].bias is noise[exact].floor is None
    assert noise[biased].variance == pytest.approx(4.0, rel=0.02)
    assert noise[biased].bias == pytest.approx(np.hypot(3.0, np.sqrt(1000.0 / 200)) / 5.0, rel=0.1)
    assert noise[biased].floor == pytest.approx(np.sqrt((9.0 + 1000.0) / 200) / 5.0, rel=0.05)


def test_a_gradient_without_noise(benchmark: Any) -> None:
    row = benchmark.Row("KL", "output", "exact", None)
    noise = benchmark.noise_of(lambda draw: {row: np.array([3.0, 4.0])}, 4)[row]
    assert noise.signal_to_noise is None
    assert noise.cosine == pytest.approx(1.0)


@pytest.mark.thorough
def test_the_command(tmp_path: Path) -> None:
    ended = run_script("benchmarks/gradient_noise.py", "--quick", "--draws", "4", "--json", "noise.json", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    facts = json.loads((tmp_path / "noise.json").read_text())
    places = {(found["images"], found["term"], found["place"]) for found in facts["figures"]}
    fixed = {("fixed", *row) for row in (("KL", "output"), ("KL", "encoder"), ("loss", "output"), ("loss", "encoder"))}
    assert places == {*fixed, ("fixed", "loss", "all weights"), ("drawn", "loss", "all weights")}
    rows = {(found["estimator"], found["samples"]) for found in facts["figures"]}
    monte_carlo = {("total", 1), ("total", 4), ("stl", 1), ("stl", 4), ("antithetic", 4), ("stratified", 4)}
    assert rows == {("exact", None), *monte_carlo}
    assert "signal / noise" in ended.stdout
    assert "antithetic, 4" in ended.stdout
    wrong = run_script("benchmarks/gradient_noise.py", "--quick", "--options", "latent.size=0", cwd=tmp_path)
    assert wrong.status == 2
    assert "latent.size=0" in wrong.stderr.splitlines()[-1]
