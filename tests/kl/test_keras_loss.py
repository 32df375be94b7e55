"""The loss class: the function to the bit before its reduction, and what each reduction makes of that."""

from collections.abc import Callable
from typing import Any, get_args
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.kl.conftest import KEY
from vae.errors import UserError
from vae.kl import Backend, KerasLoss
from vae.kl.arguments import Reduction

REDUCTIONS = get_args(Reduction)
WEIGHT = np.array([0.0, 1.0, 2.0, 0.5, 3.0, 1.0], np.float32)


@pytest.mark.parametrize("direction", ["forward", "reverse", "symmetric"])
@pytest.mark.parametrize("support", ["quadrature", "histogram"])
def test_equals_the_function_to_the_bit(direction: str, support: str, gaussians: Callable[..., Any]) -> None:
    posterior, prior, z = gaussians()
    function, loss = Backend(direction, support), KerasLoss(direction, support, reduction="none")
    vectors = function.probability_vectors(posterior, prior)
    unreduced = keras.losses.KLDivergence(reduction=None)(*vectors)
    assert np.array_equal(unreduced, keras.losses.kl_divergence(*vectors))
    assert np.array_equal(
        loss.per_latent(posterior, prior, z, key=KEY), function.per_latent(posterior, prior, z, key=KEY)
    )
    assert float(loss(posterior, prior, z, key=KEY)) == float(function(posterior, prior, z, key=KEY))


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_calls_the_class(reduction: str, gaussians: Callable[..., Any]) -> None:
    """Also for its unreduced values: a class that says 1 for each of the 5 latent variables is heard."""
    posterior, prior, z = gaussians(batch=6, latents=5)
    loss = KerasLoss(reduction=reduction)
    with mock.patch.object(keras.losses.KLDivergence, "call", lambda self, y_true, y_pred: tf.ones(y_true.shape[:-1])):
        assert float(loss(posterior, prior, z, key=KEY)) == {"none": 5.0, "mean": 1.0}[reduction]
        assert np.array_equal(loss.per_latent(posterior, prior, z, key=KEY), np.ones((6, 5)))


def test_each_reduction_is_the_class_s_own(gaussians: Callable[..., Any]) -> None:
    """Against the formulas, in float64, on (batch, latents) values."""
    posterior, prior, z = gaussians()
    values = Backend().per_latent(posterior, prior, z, key=KEY).numpy().astype(np.float64)
    weighted = WEIGHT[:, np.newaxis] * values
    expected = {
        "sum_over_batch_size": (values.mean(), weighted.mean()),
        "mean": (values.mean(), weighted.mean()),
        "mean_with_sample_weight": (values.mean(), weighted.sum() / WEIGHT.sum()),
        "sum": (values.sum(), weighted.sum()),
        "none": (values.sum(axis=1).mean(), weighted.sum() / WEIGHT.sum()),
    }
    assert expected.keys() == set(REDUCTIONS)
    for reduction, figures in expected.items():
        loss = KerasLoss(reduction=reduction)
        measured = (
            float(loss(posterior, prior, z, key=KEY)),
            float(loss(posterior, prior, z, key=KEY, sample_weight=tf.constant(WEIGHT))),
        )
        assert measured == pytest.approx(figures, rel=1e-5), reduction


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_calibrated_is_canonical(reduction: str, weight: Any, gaussians: Callable[..., Any]) -> None:
    posterior, prior, z = gaussians()
    calibrated = KerasLoss(reduction=reduction, calibrate=True)
    canonical = Backend()(posterior, prior, z, key=KEY, sample_weight=weight)
    assert float(calibrated(posterior, prior, z, key=KEY, sample_weight=weight)) == pytest.approx(
        float(canonical), rel=1e-5
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_values_are_reduced_as_the_class_does(reduction: str, weight: Any, gaussians: Callable[..., Any]) -> None:
    """As free bits need it, which are applied before the reduction."""
    posterior, prior, z = gaussians()
    loss = KerasLoss(reduction=reduction)
    reduced = loss.reduce(loss.per_latent(posterior, prior, z, key=KEY), weight)
    assert float(reduced) == pytest.approx(float(loss(posterior, prior, z, key=KEY, sample_weight=weight)), rel=1e-5)


def test_explains_its_reduction() -> None:
    assert "averages over the 128 examples and the 16 latent variables" in KerasLoss().explain_scale(128, 16)
    assert "sums over the 128 examples and the 16 latent variables" in KerasLoss(reduction="sum").explain_scale(128, 16)
    assert "kl.calibrate=true" in KerasLoss().explain_scale(128, 16)


def test_refuses_an_unknown_reduction() -> None:
    with pytest.raises(UserError, match=r"reduction=median: .*'sum_over_batch_size', 'mean'"):
        KerasLoss(reduction="median")
