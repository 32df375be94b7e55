"""The audit against numerical derivatives in NumPy, and the independence of its draws."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tests.reading import history_of, summary_of
from tests.training.fitting import Arrays, fit_and_record, grey_images
from vae import VAE
from vae.kl import Analytic, Backend, KerasLoss, KLRegularizer, MaximumMeanDiscrepancy, MonteCarlo
from vae.latents import MixturePrior
from vae.objectives import ELBO
from vae.training.audit import Audit


def audited(vae: VAE, images: NDArray[np.float32], **regularizers: KLRegularizer) -> dict[str, float]:
    audit = Audit(regularizers, tf.constant(images))
    audit.set_model(vae)
    logs: dict[str, float] = {}
    audit.on_epoch_end(0, logs)
    return logs


def test_the_exact_one_has_no_gap(make_vae: Callable[..., VAE], images: NDArray[np.float32]) -> None:
    vae = make_vae()
    logs = audited(vae, images, analytic=Analytic())
    exact = float(tf.reduce_sum(vae.encode(images).kl_divergence(vae.latent.prior())) / 50)
    assert logs["audit/value/analytic"] == pytest.approx(exact, rel=1e-6)
    assert logs["audit/gap/analytic"] == 0.0
    assert logs["audit/gradient_cosine/analytic"] == pytest.approx(1.0, abs=1e-6)
    assert logs["audit/gradient_length_ratio/analytic"] == pytest.approx(1.0, abs=1e-6)


def test_the_loss_class_is_short_by_the_number_of_latent_variables(
    make_vae: Callable[..., VAE], images: NDArray[np.float32]
) -> None:
    logs = audited(make_vae(latents=5), images, keras_loss=KerasLoss(), canonical=KerasLoss(calibrate=True))
    assert logs["audit/gradient_length_ratio/keras_loss"] == pytest.approx(1 / 5, rel=1e-2)
    assert logs["audit/gradient_cosine/keras_loss"] == pytest.approx(1.0, abs=1e-3)
    assert logs["audit/gradient_length_ratio/canonical"] == pytest.approx(1.0, rel=1e-2)
    assert logs["audit/gap/keras_loss"] < 0


@pytest.mark.thorough
def test_gradients_equal_differences(make_vae: Callable[..., VAE], images: NDArray[np.float32]) -> None:
    """Reverse against forward, by central differences of the closed forms in float64."""
    vae = make_vae(latents=2)
    vae.fit(images, epochs=3, verbose=0)
    parameters = vae.encoder(images).numpy().astype(np.float64)

    def forward(values: NDArray[np.float64]) -> float:
        mu, log_var = np.split(values, 2, axis=1)
        return float(0.5 * np.sum(np.exp(log_var) + mu**2 - 1 - log_var) / len(values))

    def reverse(values: NDArray[np.float64]) -> float:
        mu, log_var = np.split(values, 2, axis=1)
        return float(0.5 * np.sum((1 + mu**2) * np.exp(-log_var) - 1 + log_var) / len(values))

    def gradient(function: Callable[[NDArray[np.float64]], float]) -> NDArray[np.float64]:
        steps = 1e-5 * np.eye(parameters.size).reshape(-1, *parameters.shape)
        return np.array([(function(parameters + step) - function(parameters - step)) / 2e-5 for step in steps])

    exact, other = gradient(forward), gradient(reverse)
    logs = audited(vae, images, reverse=Analytic("reverse"))
    cosine = exact @ other / np.linalg.norm(exact) / np.linalg.norm(other)
    assert logs["audit/gradient_cosine/reverse"] == pytest.approx(cosine, abs=1e-3)
    assert logs["audit/gradient_length_ratio/reverse"] == pytest.approx(
        np.linalg.norm(other) / np.linalg.norm(exact), rel=1e-3
    )
    assert logs["audit/gap/reverse"] == pytest.approx(reverse(parameters) - forward(parameters), abs=1e-4)


@pytest.mark.thorough
def test_the_regularizer_s_samples_are_not_z(make_vae: Callable[..., VAE], images: NDArray[np.float32]) -> None:
    """A second sample is another draw: the estimate moves, and by more samples closer to the exact KL."""
    vae = make_vae()
    vae.encoder.get_layer("posterior").bias.assign([0.0] * 4 + [-2.0] * 4)
    names = {1: "one", 2: "two", 1000: "many"}
    gaps = dict.fromkeys(names.values(), 0.0)
    for step in range(5):
        vae.batches_seen.assign(step)
        logs = audited(vae, images, **{name: MonteCarlo(samples=n) for n, name in names.items()})
        assert logs["audit/value/two"] != pytest.approx(logs["audit/value/one"], rel=1e-4)
        gaps = {name: gap + abs(logs[f"audit/gap/{name}"]) for name, gap in gaps.items()}
    assert gaps["many"] < 0.3 * gaps["one"]  # the standard error falls by a factor of about 30


def test_mmd_s_prior_sample_is_independent_of_z(make_vae: Callable[..., VAE]) -> None:
    """At the prior MMD is 0 on average over steps; with one noise for both samples it would be negative throughout."""
    vae = make_vae()
    for layer in vae.encoder.layers[-1:]:
        layer.kernel.assign(tf.zeros_like(layer.kernel))  # mu and log_var are 0, as in the prior
    images = np.zeros((64, 8, 8, 1), np.float32)
    audit = Audit({"mmd": MaximumMeanDiscrepancy()}, tf.constant(images))
    audit.set_model(vae)
    values = []
    for step in range(60):
        vae.batches_seen.assign(step)
        logs: dict[str, float] = {}
        audit.on_epoch_end(step, logs)
        values.append(logs["audit/value/mmd"])
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(60)


def test_clipping_shows(make_vae: Callable[..., VAE], images: NDArray[np.float32]) -> None:
    """Posteriors far from the prior: the op's arguments are clipped and most of its gradient is gone."""
    logs = audited(far_from_the_prior(make_vae()), images, backend=Backend())
    assert logs["audit/gap/backend"] < -50
    assert logs["audit/gradient_length_ratio/backend"] < 0.1


def far_from_the_prior(vae: VAE) -> VAE:
    vae.encoder.get_layer("posterior").bias.assign([9.0] * 4 + [-3.0] * 4)
    return vae


@pytest.mark.thorough
def test_under_a_learned_prior_an_estimate_is_not_compared_with_itself(
    make_vae: Callable[..., VAE], images: NDArray[np.float32]
) -> None:
    """A mixture of two components that are both N(0, 1) is the prior whose KL is known."""
    vae = make_vae(MonteCarlo(), prior=MixturePrior(components=2))
    vae.prior._mu.assign(tf.zeros_like(vae.prior._mu))
    vae.encoder.get_layer("posterior").bias.assign([1.0] * 4 + [-2.0] * 4)
    exact = float(tf.reduce_sum(vae.encode(images).kl_divergence(vae.latent.prior())) / 50)
    logs = audited(vae, images, one=MonteCarlo(), many=MonteCarlo(samples=400))
    assert abs(logs["audit/reference"] - exact) < 4.0 * logs["audit/reference_error"] < 0.2
    assert logs["audit/gap/many"] == pytest.approx(logs["audit/value/many"] - logs["audit/reference"], abs=1e-5)
    assert abs(logs["audit/gap/many"]) < 0.15
    assert logs["audit/gap/one"] != 0.0
    assert 0.3 < logs["audit/gradient_cosine/one"] < 0.97
    assert logs["audit/gradient_cosine/many"] == pytest.approx(1.0, abs=0.03)
    assert logs["audit/local_weight"] == pytest.approx(1.0, abs=4.0 * logs["audit/local_weight_error"])
    assert logs["audit/residual_share"] < 4.0 * logs["audit/residual_share_error"] < 0.3


def test_an_exact_kl_has_no_estimate_beside_it(make_vae: Callable[..., VAE], images: NDArray[np.float32]) -> None:
    assert not [name for name in audited(make_vae(), images, analytic=Analytic()) if "reference" in name]


@pytest.mark.thorough
def test_the_weight_has_beta_and_the_objective(make_vae: Callable[..., VAE], images: NDArray[np.float32]) -> None:
    """Below the capacity the weight is minus beta, and above it beta."""
    for capacity, weight in ((1000.0, -0.5), (0.0, 0.5)):
        vae = far_from_the_prior(make_vae(beta=0.5, objective=ELBO(capacity=capacity, ramp=1)))
        vae.batches_seen.assign(100)
        logs = audited(vae, images, analytic=Analytic())
        assert logs["audit/local_weight"] == pytest.approx(weight, rel=1e-5)
        assert logs["audit/residual_share"] == pytest.approx(0.0, abs=1e-5)


@pytest.mark.thorough
def test_an_effective_beta_that_the_posteriors_contradict_is_none(
    make_vae: Callable[..., VAE], images: NDArray[np.float32]
) -> None:
    """Near the prior the op is the KL; far from it, its arguments are clipped."""
    for vae, expected in ((make_vae(Backend()), 1.0), (far_from_the_prior(make_vae(Backend())), np.nan)):
        audit = Audit({"trained": vae.kl}, tf.constant(images), is_estimate=False)
        audit.set_model(vae)
        logs = {"effective_beta": 1.0}
        audit.on_epoch_end(0, logs)
        assert logs["effective_beta"] == pytest.approx(expected, nan_ok=True)


@pytest.mark.thorough
def test_between_two_audits_cells_are_empty(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    """Ten epochs, audited every fourth: also the first and the last. The summary has the latest of each quantity."""
    data = Arrays(grey_images(60), grey_images(20))
    fit_and_record(make_vae(), tmp_path, data, epochs=10, audit={"analytic": Analytic()}, audit_interval=4)
    rows = history_of(tmp_path)
    audited = [row["epoch"] for row in rows if row["audit/local_weight"]]
    assert audited == ["1", "4", "8", "10"]
    assert [row["epoch"] for row in rows if row["train/effective_beta"]] == audited
    assert all(row["validation/elbo"] for row in rows)
    assert summary_of(tmp_path)["effective_beta"] == 1.0


@pytest.mark.thorough
def test_an_interval_beyond_the_run_is_said_once(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    data = Arrays(grey_images(60), grey_images(20))
    with pytest.warns(UserWarning, match="trainer.audit_interval=9: the run has 3 epochs") as caught:
        fit_and_record(make_vae(), tmp_path, data, epochs=3, audit={"analytic": Analytic()}, audit_interval=9)
    assert len([warning for warning in caught if "audit_interval" in str(warning.message)]) == 1
    assert [bool(row["audit/local_weight"]) for row in history_of(tmp_path)] == [True, False, True]
