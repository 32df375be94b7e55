"""VAE as a plain Keras model, and the quantities that it logs, against NumPy in float64."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tests.conftest import REPOSITORY
from tests.kl.conftest import VARIANTS, build
from vae import VAE
from vae.errors import UserError
from vae.kl import Analytic, Backend, KerasLoss, MonteCarlo
from vae.likelihoods import DiscretizedLogisticLikelihood, GaussianLikelihood
from vae.networks import MLP, Conv
from vae.random import Rows
from vae.schedules import Linear

Images = NDArray[np.float32]
MakeVAE = Callable[..., VAE]


def numpy_terms(vae: VAE, images: Images, outputs: dict[str, Any]) -> tuple[Any, Any]:
    """Reconstruction and KL per example, in nats, by the textbook's formulas in float64."""
    mu, log_var = np.split(outputs["posterior"].numpy().astype(np.float64), 2, axis=-1)
    logits = outputs["likelihood"].numpy().astype(np.float64)
    reconstruction = np.sum(np.logaddexp(0, logits) - images * logits, axis=(1, 2, 3))
    kl = 0.5 * np.sum(np.exp(log_var) + mu**2 - 1 - log_var, axis=1)
    return reconstruction, kl


def test_loss_and_canonical_quantities(make_vae: MakeVAE, images: Images) -> None:
    vae = make_vae(beta=0.7)
    reconstruction, kl = numpy_terms(vae, images, vae(images))
    measured = vae.evaluate(images, batch_size=50, verbose=0, return_dict=True)
    assert measured["reconstruction"] == pytest.approx(reconstruction.mean(), rel=1e-5)
    assert measured["kl"] == pytest.approx(kl.mean(), rel=1e-4)
    assert measured["regularizer"] == pytest.approx(kl.mean(), rel=1e-4)
    assert measured["elbo"] == pytest.approx(-(reconstruction + kl).mean(), rel=1e-5)
    assert measured["elbo"] == pytest.approx(-(measured["reconstruction"] + measured["kl"]), rel=1e-6)
    assert measured["loss"] == pytest.approx((reconstruction + 0.7 * kl).mean(), rel=1e-5)


def test_beta_is_not_multiplied_by_the_batch_size(make_vae: MakeVAE, images: Images) -> None:
    vae = make_vae(beta=3.0)
    for batch_size in (10, 50):
        measured = vae.evaluate(images, batch_size=batch_size, verbose=0, return_dict=True)
        assert measured["loss"] == pytest.approx(measured["reconstruction"] + 3.0 * measured["kl"], rel=1e-5)


def test_batch_size_changes_no_figure(make_vae: MakeVAE, images: Images) -> None:
    vae = make_vae()
    whole, ragged = (vae.evaluate(images, batch_size=size, verbose=0, return_dict=True) for size in (50, 7))
    assert ragged == pytest.approx(whole, rel=1e-5)


@pytest.mark.thorough
def test_canonical_quantities_are_the_same_whatever_is_trained(make_vae: MakeVAE, images: Images) -> None:
    reference: dict[str, float] = {}
    regularizers = set()
    for option, direction in VARIANTS:
        vae = make_vae(build(option, *filter(None, [direction])))
        measured = vae.evaluate(images, batch_size=20, verbose=0, return_dict=True)
        canonical = {name: measured[name] for name in ("elbo", "reconstruction", "kl")}
        reference = reference or canonical
        assert canonical == pytest.approx(reference, rel=1e-6), option
        regularizers.add(round(measured["regularizer"], 7))
    assert len(regularizers) > len(VARIANTS) / 2  # while what is trained does differ


def test_sample_weight_reaches_every_term(make_vae: MakeVAE, images: Images) -> None:
    vae = make_vae()
    reconstruction, kl = numpy_terms(vae, images, vae(images))
    weight = np.random.default_rng(1).uniform(0, 2, len(images)).astype(np.float32)
    weight[:10] = 0
    measured = vae.evaluate(images, images, sample_weight=weight, batch_size=50, verbose=0, return_dict=True)
    assert measured["reconstruction"] == pytest.approx(np.average(reconstruction, weights=weight), rel=1e-5)
    assert measured["kl"] == pytest.approx(np.average(kl, weights=weight), rel=1e-4)
    assert measured["loss"] == pytest.approx(np.average(reconstruction + kl, weights=weight), rel=1e-5)


@pytest.mark.thorough
@pytest.mark.parametrize("jit_compile", [False, True])
def test_every_logged_mean_is_by_weight(jit_compile: bool, make_vae: MakeVAE, images: Images) -> None:
    """The loss too, though Keras averages it by batch sizes: over three batches of a frozen model, under a schedule."""
    weight = np.random.default_rng(1).uniform(0, 2, len(images)).astype(np.float32)
    weight[:18] *= 0.01
    vae = make_vae(beta=2.0, schedule=Linear(4, 0.25))
    vae.compile(keras.optimizers.SGD(0.0), jit_compile=jit_compile)
    terms = []
    for step, first in enumerate(range(0, 50, 20)):
        batch = images[first : first + 20]
        vae.batches_seen.assign(step)
        reconstruction, kl = numpy_terms(vae, batch, vae(batch, training=True))
        terms += [(reconstruction + 2.0 * (0.25 + 0.75 * step / 4) * kl, reconstruction, kl)]
    loss, reconstruction, kl = (np.average(values, weights=weight) for values in np.concatenate(terms, axis=1))
    vae.batches_seen.assign(0)
    data = {"x": images, "y": images, "sample_weight": weight}
    measured = vae.fit(**data, batch_size=20, shuffle=False, verbose=0).history
    expected = {
        "loss": loss,
        "regularizer": kl,
        "elbo": -reconstruction - kl,
        "reconstruction": reconstruction,
        "kl": kl,
    }
    assert {name: values[0] for name, values in measured.items()} == pytest.approx(expected, rel=1e-4)


def test_the_terms_of_each_image(make_vae: MakeVAE, images: Images) -> None:
    vae = make_vae()
    outputs = vae(images)
    posterior = vae.latent.posterior(outputs["posterior"])
    terms = vae.per_example_terms(images, posterior, vae.prior_distribution(), outputs["z"], outputs["likelihood"])
    reconstruction, kl = numpy_terms(vae, images, outputs)
    assert terms.keys() == {"reconstruction", "kl"}
    assert terms["reconstruction"].numpy() == pytest.approx(reconstruction, rel=1e-5)
    assert terms["kl"].numpy() == pytest.approx(kl, abs=2e-4)


def test_a_part_of_a_batch_has_the_draws_of_the_whole(make_vae: MakeVAE, images: Images) -> None:
    vae = make_vae(MonteCarlo("symmetric", samples=3))
    outputs = vae(images, training=True)
    part = vae(images[20:], training=True, rows=Rows(20, 50))
    assert np.allclose(part["z"], outputs["z"][20:], atol=1e-6)
    step = int(vae.batches_seen.numpy())
    losses = []
    for first, end in ((0, 50), (0, 20), (20, 50)):
        rows = Rows(first, 50)
        part = vae(images[first:end], training=True, rows=rows)
        losses.append(float(vae.compute_loss(images[first:end], y_pred=part, rows=rows)))
        vae.batches_seen.assign(step)
    assert losses[0] == pytest.approx((20 * losses[1] + 30 * losses[2]) / 50, rel=1e-6)


def test_a_call_in_a_graph_returns_tensors(make_vae: MakeVAE, images: Images) -> None:
    outputs = tf.function(make_vae())(images)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "posterior": (50, 8),
        "z": (50, 4),
        "likelihood": (50, 8, 8, 1),
    }


def test_refuses_parts_of_another_kind(make_vae: MakeVAE) -> None:
    for options, message in (({"kl": "analytic"}, "kl=analytic: .*KLRegularizer"), ({"beta": -1.0}, "beta=-1.0: .*0")):
        with pytest.raises(UserError, match=message):
            make_vae(**options)


@pytest.mark.parametrize(
    "kl",
    [
        pytest.param(Analytic(), id="Analytic", marks=pytest.mark.thorough),
        pytest.param(Backend("reverse"), id="Backend", marks=pytest.mark.thorough),
        pytest.param(KerasLoss(calibrate=True), id="KerasLoss"),
    ],
)
def test_fit_lowers_the_loss(kl: Any, make_vae: MakeVAE, images: Images) -> None:
    vae = make_vae(kl)
    history = vae.fit(images, epochs=15, batch_size=10, verbose=0, validation_data=(images,)).history
    assert history["loss"][-1] < history["loss"][0] - 1.0
    assert set(history) == {
        f"{prefix}{name}" for prefix in ("", "val_") for name in ("loss", "regularizer", "elbo", "reconstruction", "kl")
    }


def test_beta_changes_while_a_compiled_step_runs(make_vae: MakeVAE, images: Images) -> None:
    vae = make_vae()
    before = vae.evaluate(images, verbose=0, return_dict=True)
    vae.beta.assign(10.0)
    after = vae.evaluate(images, verbose=0, return_dict=True)
    assert after["loss"] - before["loss"] == pytest.approx(9.0 * before["kl"], rel=1e-4)


@pytest.mark.thorough
def test_one_seed_twice_gives_the_same_weights(make_vae: MakeVAE, images: Images) -> None:
    weights = []
    for _ in range(2):
        vae = make_vae(seed=3)
        vae.fit(images, epochs=2, batch_size=16, verbose=0, shuffle=False)
        weights.append(vae.get_weights())
    assert all(np.array_equal(*pair) for pair in zip(*weights, strict=True))
    other = make_vae(seed=4)
    other.fit(images, epochs=2, batch_size=16, verbose=0, shuffle=False)
    assert not np.array_equal(other.trainable_weights[0], vae.trainable_weights[0])


def test_noise_is_new_every_training_step_and_the_same_in_every_evaluation(make_vae: MakeVAE, images: Images) -> None:
    vae = make_vae()
    first = vae(images, training=True)["z"]
    vae.fit(images, batch_size=25, verbose=0)
    assert int(vae.batches_seen.numpy()) == 2
    assert not np.array_equal(vae(images, training=True)["z"], first)
    assert vae.evaluate(images, verbose=0) == vae.evaluate(images, verbose=0)
    assert np.array_equal(vae(images)["z"], vae(images)["z"])


@pytest.mark.thorough
@pytest.mark.parametrize("jit_compile", [False, True])
def test_works_compiled_or_not(jit_compile: bool, make_vae: MakeVAE, images: Images) -> None:
    vae = make_vae()
    vae.compile(keras.optimizers.Adam(), jit_compile=jit_compile)
    vae.fit(images, epochs=1, batch_size=16, verbose=0, shuffle=False)
    plain = make_vae()
    plain.compile(keras.optimizers.Adam(), run_eagerly=True)
    plain.fit(images, epochs=1, batch_size=16, verbose=0, shuffle=False)
    # Adam's first steps divide by the gradient's own size, which makes roundings of tiny gradients visible
    for left, right in zip(vae.get_weights(), plain.get_weights(), strict=True):
        assert np.allclose(left, right, atol=2e-4)


@pytest.mark.thorough
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_trains_under_mixed_precision(policy: str, make_vae: MakeVAE, images: Images) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        vae = make_vae(Backend())
        history = vae.fit(images, epochs=3, batch_size=10, verbose=0).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < history["loss"][0]


def test_encode_decode_sample_predict(make_vae: MakeVAE, images: Images) -> None:
    vae = make_vae()
    posterior = vae.encode(images)
    assert posterior.mu.shape == posterior.log_var.shape == (50, 4)
    assert vae.decode(posterior.mu).shape == images.shape
    assert np.allclose(vae.predict(images, verbose=0), tf.sigmoid(vae.decode(posterior.mu)), atol=1e-6)
    samples = vae.sample(3, seed=1).numpy()
    assert samples.shape == (3, 8, 8, 1)
    assert samples.min() >= 0
    assert samples.max() <= 1
    assert np.array_equal(samples, vae.sample(3, seed=1))
    assert not np.array_equal(samples, vae.sample(3, seed=2))
    assert len({vae.sample(1).numpy().tobytes() for _ in range(20)}) == 20


class Dropping(MLP):
    """A network that loses half of its inputs, in training only."""

    def encoder(self, image_shape: tuple[int, int, int], parameter_count: int) -> keras.Model:
        return self._dropping(image_shape, super().encoder(image_shape, parameter_count))

    def decoder(self, z_size: int, image_shape: tuple[int, int, int]) -> keras.Model:
        return self._dropping((z_size,), super().decoder(z_size, image_shape))

    def _dropping(self, shape: tuple[int, ...], model: keras.Model) -> keras.Model:
        inputs = keras.Input(shape)
        return keras.Model(inputs, model(keras.layers.Dropout(0.5)(inputs)))


def test_in_use_nothing_is_dropped(make_vae: MakeVAE, images: Images) -> None:
    vae = make_vae(network=Dropping((16,)))
    z = np.ones((5, 4), np.float32)
    np.testing.assert_array_equal(vae.decode(z), vae.decode(z))
    np.testing.assert_array_equal(vae.encode(images).mu, vae.encode(images).mu)
    assert not np.array_equal(vae.decoder(z, training=True), vae.decoder(z, training=True))


def test_the_state_of_another_optimizer_is_not_taken_over_in_part(make_vae: MakeVAE, images: Images) -> None:
    vae, other = make_vae(), make_vae()
    vae.fit(images, verbose=0)  # its optimizer has moments, and the other one none yet
    with pytest.raises(ValueError, match="zip"):
        vae.take_over(other)


def test_summary_shows_a_built_model(make_vae: MakeVAE) -> None:
    lines: list[str] = []
    make_vae().summary(print_fn=lambda text, **_: lines.append(text))
    shown = "\n".join(lines)
    assert "encoder" in shown
    assert "decoder" in shown
    assert "unbuilt" not in shown


VARIED = {
    "mlp-analytic": {},
    "mlp-keras_loss": {"kl": KerasLoss("symmetric", "histogram", 16, "sum", calibrate=True), "beta": 0.5, "seed": 7},
    "mlp-discretized_logistic": {"likelihood": DiscretizedLogisticLikelihood(17), "image_shape": (3, 4, 3)},
    "conv-gaussian": {"network": Conv((4,), 8), "likelihood": GaussianLikelihood(), "image_shape": (9, 6, 3)},
}


@pytest.mark.thorough
@pytest.mark.parametrize("options", VARIED.values(), ids=VARIED.keys())
def test_saved_and_loaded_it_is_the_same_model(options: dict[str, Any], make_vae: MakeVAE, tmp_path: Path) -> None:
    vae = make_vae(**options)
    images = np.random.default_rng(0).random((12, *vae.encoder.input_shape[1:])).astype(np.float32)
    vae.fit(images, batch_size=4, verbose=0)
    vae.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.kl.get_config() == vae.kl.get_config()
    assert (again.seed, float(again.beta.numpy())) == (vae.seed, float(vae.beta.numpy()))
    assert np.array_equal(again.predict(images, verbose=0), vae.predict(images, verbose=0))
    for model in (vae, again):  # optimizer and noise go on as if nothing had happened
        model.fit(images, batch_size=4, verbose=0, shuffle=False)
    assert all(np.array_equal(*pair) for pair in zip(vae.get_weights(), again.get_weights(), strict=True))


@pytest.mark.thorough
def test_another_process_loads_it(make_vae: MakeVAE, images: Images, tmp_path: Path) -> None:
    """As the documentation says it: `from vae import VAE`, then `keras.models.load_model`."""
    vae = make_vae(KerasLoss("reverse"))
    vae.save(tmp_path / "model.keras")
    program = (
        "import keras, sys\nfrom vae import VAE\n"
        "vae = keras.models.load_model(sys.argv[1])\nassert isinstance(vae, VAE)\n"
        "print(vae.kl.get_config()['direction'], vae.sample(2, seed=0).numpy().tobytes().hex())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "model.keras")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    direction, samples = ended.stdout.split()
    assert direction == "reverse"
    assert np.allclose(np.frombuffer(bytes.fromhex(samples), np.float32), vae.sample(2, seed=0).numpy().ravel())
