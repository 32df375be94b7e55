"""Losses in PyTorch, JAX, TensorFlow and Keras, and the canonical line that the report gives for each."""

import importlib
import sys
from collections.abc import Iterator

import keras
import pytest

from tests.weigh.weighing import weighed
from vae.errors import UserError
from vae.weigh import weigh
from vae.weigh.canonical import canonical_loss
from vae.weigh.formulas import LIKELIHOODS, Likelihood
from vae.weigh.frameworks import FRAMEWORKS
from vae.weigh.parameters import SPREADS

MODULES = {
    "torch_losses.py": "torch",
    "jax_losses.py": "jax",
    "keras_losses.py": "tensorflow",
    "numpy_losses.py": "numpy",
}


@pytest.fixture(autouse=True)
def settings_are_restored() -> Iterator[None]:
    yield
    assert keras.config.floatx() == "float32"
    if torch := sys.modules.get("torch"):
        assert torch.get_default_dtype() is torch.float32
    if jax := sys.modules.get("jax"):
        assert not jax.config.jax_enable_x64


def needs(file: str) -> str:
    pytest.importorskip(MODULES[file], reason=f"{MODULES[file]} is not installed")
    return file


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("file", "name", "framework", "shape", "beta"),
    [
        ("torch_losses.py", "pytorch_example", "PyTorch", (784,), 1.0),  # whose x.view(-1, 784) takes no other
        ("torch_losses.py", "summed_kl", "PyTorch", (1, 28, 28), 6 * 784),
        ("jax_losses.py", "flax_example", "JAX", (28, 28, 1), 1.0),
        ("jax_losses.py", "averaged", "JAX", (28, 28, 1), 784 / 2 / 16),
        ("keras_losses.py", "in_a_graph", "TensorFlow", (28, 28, 1), 1.0),
        ("numpy_losses.py", "canonical", "NumPy", (28, 28, 1), 1.0),
    ],
)
def test_the_framework_and_the_shape_are_found(
    file: str, name: str, framework: str, shape: tuple[int, ...], beta: float
) -> None:
    report = weighed(f"{needs(file)}:{name}")
    assert report.called.startswith(f"{framework}, float64")
    assert report.sizes.shape == shape
    assert report.effective_beta == pytest.approx(beta, rel=1e-6)


def test_a_loss_in_float32_is_measured_to_three_digits() -> None:
    report = weighed(f"{needs('torch_losses.py')}:single")
    assert report.effective_beta == pytest.approx(1.0, rel=1e-3)
    assert any("float32" in note for note in report.notes)


def test_random_numbers_are_noticed() -> None:
    with pytest.raises(UserError, match="it draws random numbers"):
        weighed(f"{needs('torch_losses.py')}:sampling")


def test_arguments_without_names_are_given_in_order() -> None:
    report = weighed(
        f"{needs('torch_losses.py')}:PyTorchVAE",
        order=("reconstruction", "images", "mu", "log_var"),
        constants={"M_N": 1.0},
        shape=(3, 64, 64),
    )
    assert report.effective_beta == pytest.approx(12288 / 2, rel=1e-6)
    assert "output loss of loss, Reconstruction_Loss, KLD" in report.called


FITTING = [likelihood for likelihood in LIKELIHOODS if not likelihood.mistake]
SHORT = {"numpy": "np", "torch": "torch", "jax": "jnp", "tensorflow": "tf"}


@pytest.mark.thorough
@pytest.mark.parametrize("module", SHORT)
@pytest.mark.parametrize(("likelihood", "spread"), [*zip(FITTING, [*SPREADS, "log_var"], strict=True)])
def test_the_canonical_line_is_canonical(module: str, likelihood: Likelihood, spread: str) -> None:
    """Run the line that a report gives, and weigh it."""
    pytest.importorskip(module, reason=f"{module} is not installed")
    framework = next(each for each in FRAMEWORKS if each.module == module)
    names = {"images": "x", "reconstruction": "y", "mu": "mu", spread: "width"}
    line = canonical_loss(framework.name, likelihood, names, spread)
    namespace = {SHORT[module]: importlib.import_module("jax.numpy" if module == "jax" else module)}
    loss = eval(f"lambda x, y, mu, width: {line}", namespace)
    report = weigh(loss, parameters=names, imports={module}, shape=(28, 28, 1))
    assert report.called.startswith(framework.name)
    assert report.reconstruction is not None
    assert report.reconstruction.likelihood is likelihood
    assert report.reconstruction.weight == pytest.approx(1.0, rel=1e-6)
    assert report.kl.weight == pytest.approx(1.0, rel=1e-6)
    assert report.notes == ()
