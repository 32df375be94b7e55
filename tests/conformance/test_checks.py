"""The conformance suite: what passes, what each of our own fails, and that it names the mistakes that people make."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import REPOSITORY, Outcome, inherited_environment
from vae.conformance.checks import CHECKS, CheckResult, run
from vae.conformance.mistakes import Gaussians, canonical, forward, reverse
from vae.kl import (
    Analytic,
    Backend,
    DirectedKL,
    JensenShannon,
    KerasLoss,
    KLRegularizer,
    MaximumMeanDiscrepancy,
    MonteCarlo,
    PerLatentRegularizer,
    Raw,
    Renyi,
    TotalCorrelation,
)
from vae.kl.base import canonical_mean
from vae.kl.check import _argument, assert_conforms, main, run_checks
from vae.random import own_key

DIRECTIONS = ("forward", "reverse", "symmetric")
FORWARD, REVERSE, SYMMETRIC = "forward, D[q||p]", "reverse, D[p||q]", "symmetric, their mean"
DIRECTION_ROWS = dict(zip(DIRECTIONS, (FORWARD, REVERSE, SYMMETRIC), strict=True))
CLIPPING = {"large values", "no dead gradients"}
REDUCTION = {"weight 0 leaves out", "equal weights", "weighted mean"}


def failed(results: list[CheckResult]) -> dict[str, str]:
    """The advice of the checks that fail, by their names."""
    return {result.name: result.advice for result in results if result.passed is False}


def closed_form(posterior: Any, variance: float = 1.0, logarithm: float = 1.0, constant: float = 1.0) -> tf.Tensor:
    """The formula that people write by hand, with factors where they go wrong."""
    mu, log_var = posterior.mu, posterior.log_var
    return 0.5 * (tf.square(mu) + tf.exp(variance * log_var) - constant - logarithm * log_var)


class TestOurOwn:
    @pytest.mark.parametrize("direction", DIRECTIONS)
    @pytest.mark.parametrize("samples", [None, 1, 8])
    def test_the_exact_and_the_unbiased_pass_all(self, direction: str, samples: int | None) -> None:
        """Against the other directions of its class only where it is forward: they are held against all here."""
        regularizer = Analytic(direction) if samples is None else MonteCarlo(direction, samples)
        others = () if direction == "forward" else {FORWARD, REVERSE, SYMMETRIC} - {DIRECTION_ROWS[direction]}
        results = run(regularizer, [check for check in CHECKS if check.name not in others])
        assert failed(results) == {}
        assert {result.name for result in results if result.passed is None} == (
            {"unbiased"} if samples is None else set()
        )

    @pytest.mark.parametrize(
        ("regularizer", "fails"),
        [
            # D[p||q] of a q narrower than p is clipped on ordinary posteriors already
            (Backend(), {REVERSE, SYMMETRIC, *CLIPPING}),
            (Backend(support="histogram"), {REVERSE, SYMMETRIC, *CLIPPING}),
            (KerasLoss(calibrate=True), {REVERSE, SYMMETRIC, *CLIPPING}),
            (KerasLoss(reduction="none"), {REVERSE, SYMMETRIC, *CLIPPING}),
            (KerasLoss(), {FORWARD, REVERSE, SYMMETRIC, *CLIPPING, *REDUCTION}),
            (
                KerasLoss(reduction="sum"),
                {FORWARD, REVERSE, SYMMETRIC, *CLIPPING, "size of the batch", "equal weights"},
            ),
            (Raw(), {FORWARD, REVERSE, SYMMETRIC, *CLIPPING, "not negative"}),
            (Raw(form="softmax"), {FORWARD, REVERSE, SYMMETRIC}),
            (Raw(form="log_var"), {FORWARD, REVERSE, SYMMETRIC, "no dead gradients"}),
            (JensenShannon(), set()),
            (Renyi(), set()),
            (Renyi(alpha=2.0), {"finite at extremes", "float16", "bfloat16"}),  # it is infinite there
            (TotalCorrelation(correlation=1.0), set()),
            (TotalCorrelation(), {FORWARD, "unbiased"}),
            (MaximumMeanDiscrepancy(), {"size of the batch"}),  # equal z are no independent draws
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, KLRegularizer) else "",
    )
    def test_each_of_the_others_fails_what_it_should(self, regularizer: KLRegularizer, fails: set[str]) -> None:
        assert set(failed(run_checks(regularizer))) == fails

    def test_the_loss_class_is_told_what_is_wrong(self) -> None:
        advice = failed(run_checks(KerasLoss()))
        for name in (FORWARD, REVERSE, SYMMETRIC):
            assert (
                "1/5 of the exact value for 5 latent variables: does it average over latent variables" in advice[name]
            )
        assert "clips probabilities to [1e-7, 1]" in advice["large values"]
        assert "divided by the number of examples" in advice["equal weights"]

    def test_another_divergence_skips_what_is_the_kl_s(self) -> None:
        reasons = {result.name: result.advice for result in run_checks(JensenShannon()) if result.passed is None}
        assert set(reasons) == {check.name for check in CHECKS if check.of_the_kl}
        assert set(reasons.values()) == {"another divergence by intention: estimates_kl is False"}


class MeanOverLatents(PerLatentRegularizer):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return closed_form(posterior)

    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return canonical_mean(tf.reduce_mean(values, axis=-1), sample_weight)


class SumOverBatch(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return tf.reduce_sum(values * (1.0 if sample_weight is None else sample_weight[:, tf.newaxis]))


class WrongAxes(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return tf.reduce_sum(tf.reduce_mean(values, axis=-1))


class IgnoresWeights(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return canonical_mean(tf.reduce_sum(values, axis=-1))


class DividesByExamples(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return tf.reduce_mean(tf.reduce_sum(values, axis=-1) * (1.0 if sample_weight is None else sample_weight))


class MixesRows(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return canonical_mean(
            tf.reduce_sum(values, axis=-1), None if sample_weight is None else tf.reverse(sample_weight, [0])
        )


class Vector(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return tf.reduce_sum(values, axis=-1)


class DoublePrecision(MeanOverLatents):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        return canonical_mean(tf.cast(tf.reduce_sum(values, axis=-1), tf.float64), sample_weight)


class Formula(PerLatentRegularizer):
    """Right, and what the following go wrong from."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return closed_form(posterior)


class TurnedSign(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return -closed_form(posterior)


class Halved(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return 0.5 * closed_form(posterior)


class Doubled(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return 2.0 * closed_form(posterior)


class InBits(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return closed_form(posterior) / np.log(2.0)


class SigmaForVariance(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return closed_form(posterior, variance=0.5, logarithm=0.5)


class SigmaInOneTerm(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return closed_form(posterior, variance=0.5)


class LogVarForLogSigma(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return closed_form(posterior, variance=2.0, logarithm=2.0)


class LogVarForLogSigmaInOneTerm(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return closed_form(posterior, logarithm=2.0)


class ConstantLeftOut(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return closed_form(posterior, constant=0.0)


class MeansLeftOut(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return closed_form(posterior) - 0.5 * tf.square(posterior.mu)


class TwoMistakes(MeanOverLatents):
    """As in much public code: `-tf.reduce_mean(1 + log_var - mu**2 - tf.exp(log_var))`."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return 2.0 * closed_form(posterior)


class WrongWayRound(DirectedKL):
    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        return second.kl_divergence(first)


class FromThePrior(Formula):
    """Forward, its expectation under the prior."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        drawn = prior.sample(own_key(), batch=z.shape[0])
        return posterior.log_prob(drawn) - prior.log_prob(drawn)


class AlwaysFromThePosterior(DirectedKL):
    """Every direction from z: reverse is minus forward, and symmetric is nothing."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return self.directed(lambda first, second: first.log_prob(z) - second.log_prob(z), posterior, prior)

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        raise NotImplementedError


class TooWide(Formula):
    """Draws z of its own, with too large a sigma: a bias of a few percent."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        drawn = posterior.mu + 1.05 * (posterior.sample(own_key()) - posterior.mu)
        return posterior.log_prob(drawn) - prior.log_prob(drawn)


class HiddenNoise(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        drawn = posterior.mu + tf.exp(0.5 * posterior.log_var) * tf.random.normal(tf.shape(z))
        return posterior.log_prob(drawn) - prior.log_prob(drawn)


class Capped(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return tf.minimum(closed_form(posterior), 10.0)


class ClippedLogVar(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return closed_form(type(posterior)(posterior.mu, tf.clip_by_value(posterior.log_var, -8.0, 8.0)))


class Stopped(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return tf.stop_gradient(closed_form(posterior))


class OfDensities(Formula):
    """The logarithm of a density that is 0 in float32 far from the prior."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return tf.math.log(tf.exp(posterior.log_prob(z)) / tf.exp(prior.log_prob(z)))


class InNumPy(Formula):
    def __call__(self, posterior: Any, prior: Any, z: tf.Tensor, sample_weight: tf.Tensor | None = None) -> Any:
        return closed_form(posterior).numpy().sum(axis=-1).mean()


class OnlyEager(Formula):
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        assert np.isfinite(posterior.mu.numpy()).all()
        return closed_form(posterior)


class InTheTypeOfWeights(Formula):
    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        if sample_weight is None:
            return super().reduce(values)
        values = tf.cast(tf.reduce_sum(values, axis=-1), sample_weight.dtype)
        return tf.cast(tf.reduce_sum(values * sample_weight) / tf.reduce_sum(sample_weight), tf.float32)


class ChangesItsArgument(Formula):
    def __init__(self, strength: float = 1.0) -> None:
        self.strength = 2.0 * strength

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        return 0.5 * self.strength * closed_form(posterior)


class ForgetsItsArgument(Formula):
    def __init__(self, strength: float = 1.0) -> None:
        pass


PLANTED = [
    (MeanOverLatents(), FORWARD, "average over latent variables where it should sum"),
    (SumOverBatch(), FORWARD, "sum over the batch where it should average"),
    (SumOverBatch(), "size of the batch", "sum over the batch where it should average"),
    (WrongAxes(), FORWARD, "sum over the batch and average over latent variables"),
    (IgnoresWeights(), "weight 0 leaves out", "ignore sample_weight"),
    (IgnoresWeights(), "weighted mean", "ignore sample_weight"),
    (DividesByExamples(), "equal weights", "divided by the number of examples"),
    (MixesRows(), "weighted mean", "other examples' values"),
    (Vector(), "float32 scalar", "no scalar"),
    (DoublePrecision(), "float32 scalar", "tf.cast(value, tf.float32)"),
    (TurnedSign(), FORWARD, "sign turned round"),
    (TurnedSign(), "not negative", "sign turned round"),
    (Halved(), FORWARD, "factor 1/2 too many"),
    (Doubled(), FORWARD, "factor 1/2 left out"),
    (InBits(), FORWARD, "log base 2"),
    (SigmaForVariance(), FORWARD, "is sigma taken for the variance?"),
    (SigmaInOneTerm(), FORWARD, "is sigma taken for the variance in one term of the formula?"),
    (LogVarForLogSigma(), FORWARD, "is log_var taken for log sigma?"),
    (LogVarForLogSigmaInOneTerm(), FORWARD, "is log_var taken for log sigma in one term of the formula?"),
    (ConstantLeftOut(), FORWARD, "is the -1 of"),
    (ConstantLeftOut(), "zero at the prior", "constant left out"),
    (MeansLeftOut(), FORWARD, "means left out"),
    (TwoMistakes(), FORWARD, "factor 1/2 left out?; moreover, it is 1/5"),
    (WrongWayRound(), FORWARD, "it is D[p||q]: are the distributions the wrong way round?"),
    (WrongWayRound(), REVERSE, "it is D[q||p]: are the distributions the wrong way round?"),
    (FromThePrior(), FORWARD, "drawn from the prior"),
    (AlwaysFromThePosterior(), REVERSE, "drawn from the posterior"),
    (AlwaysFromThePosterior(), SYMMETRIC, "identically zero"),
    (TooWide(), "unbiased", "standard errors off"),
    (HiddenNoise(), "repeatable", "vae.random.own_key()"),
    (Capped(), "large values", "clipped"),
    (ClippedLogVar(), "no dead gradients", "0% of the gradients with respect to mu and 33%"),
    (Stopped(), "no dead gradients", "tf.stop_gradient"),
    (OfDensities(), "finite at extremes", "mu=20 log_var=0"),
    (InNumPy(), "float32 scalar", "outside TensorFlow"),
    (OnlyEager(), "runs in a graph", "numpy"),
    (InTheTypeOfWeights(), "float16", "compute in the type of z or sample_weight"),
    (ChangesItsArgument(), "configuration", "constructor argument unchanged"),
    (ForgetsItsArgument(), "configuration", "has no attribute 'strength'"),
]


@pytest.mark.parametrize(
    ("regularizer", "name", "words"), PLANTED, ids=[f"{type(planted).__name__}-{name}" for planted, name, _ in PLANTED]
)
def test_names_the_mistake(regularizer: KLRegularizer, name: str, words: str) -> None:
    advice = failed(run(regularizer, [check for check in CHECKS if check.name == name]))
    assert words in advice[name]


def test_the_formula_that_they_go_wrong_from_passes() -> None:
    assert_conforms(Formula())


def test_what_returns_no_scalar_is_held_against_nothing_else() -> None:
    results = run_checks(Vector())
    assert [result.passed for result in results] == [False, *([None] * (len(results) - 1))]


def test_a_failure_says_all() -> None:
    with pytest.raises(AssertionError) as raised:
        assert_conforms(TurnedSign())
    lines = str(raised.value).splitlines()
    assert lines[0] == "TurnedSign does not conform:"
    assert "forward, D[q||p]: measured -2.759, expected 2.759 within 1%: it is minus the exact value" in str(
        raised.value
    )
    assert len(lines) == 1 + len(failed(run_checks(TurnedSign())))


def test_the_quadrature_is_the_closed_form_s_independent_equal() -> None:
    """Against the formulas in float64, which the quadrature does not use."""
    case = Gaussians.drawn(6, 5)
    mu, variance = case.mu, np.exp(case.log_var)
    assert forward(case) == pytest.approx(0.5 * (mu**2 + variance - 1 - case.log_var), rel=1e-12)
    assert reverse(case) == pytest.approx(0.5 * ((1 + mu**2) / variance - 1 + case.log_var), rel=1e-12)
    assert canonical(np.array([[1.0, 2.0], [3.0, 4.0]])) == 5.0


def command(folder: Path, *arguments: str) -> Outcome:
    """`python -m vae.kl.check` as a user runs it in a folder."""
    ended = subprocess.run(
        [sys.executable, "-m", "vae.kl.check", *arguments],
        cwd=folder,
        env={**inherited_environment(), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


MY_MODULE = """
from vae.kl import Analytic

class Averages(Analytic):
    def reduce(self, values, sample_weight=None):
        return super().reduce(values, sample_weight) / values.shape[1]

something_else = 1
"""


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(MY_MODULE)
    passes = command(tmp_path, "vae.kl.Analytic", "direction=reverse")
    assert passes.status == 0
    assert "19 pass, 0 FAIL, 1 skipped" in passes.stdout
    fails = command(tmp_path, "my_module.Averages")
    assert fails.status == 1
    assert (
        "FAIL: forward, D[q||p]: it is 1/5 of the exact value for 5 latent variables: does it average" in fails.stdout
    )
    refused = command(tmp_path, "nowhere.MyKL")
    assert (refused.status, refused.stdout) == (1, "")
    assert refused.stderr.splitlines()[-1] == (
        "vae.kl.check: nowhere.MyKL: there is no module nowhere, neither in this folder nor installed"
    )
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: MODULE.CLASS; --help shows the usage"),
        (["Averages"], "Averages: give the class with its module, as my_module.MyKL"),
        (["nowhere.MyKL"], "nowhere.MyKL: there is no module nowhere, neither in this folder nor installed"),
        (["my_module.Sums"], "my_module.Sums: there is no Sums in my_module"),
        (["my_module.something_else"], "my_module.something_else: must be a subclass of vae.kl.KLRegularizer"),
        (["my_broken.MyKL"], "my_broken.MyKL: my_broken cannot be imported: ZeroDivisionError: division by zero"),
        (["my_module.Averages", "reverse"], "reverse: give an argument of the constructor as NAME=VALUE"),
        (["vae.kl.Analytic", "direction=up"], "kl.direction=up: must be one of forward, reverse, symmetric"),
        (["vae.kl.MonteCarlo", "samples=0"], "refuses: ValueError: kl.samples=0: must be 1 or more"),
        (["vae.kl.KerasLoss", "calibrate=true", "points=1"], "refuses: ValueError: kl.points=1: must be 2 or more"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    (tmp_path / "my_module.py").write_text(MY_MODULE)
    (tmp_path / "my_broken.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_module", raising=False)
    monkeypatch.setattr("vae.kl.check.load_tensorflow", lambda: None)  # it is loaded, and its threads are started
    assert main(arguments) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("vae.kl.check: ")
    assert shown.err.endswith(f"{said}\n")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("null", None), ("8", 8), ("1e-3", 1e-3), ("reverse", "reverse"), ("[1, 2]", [1, 2]), ("", "")],
)
def test_an_argument_is_what_it_looks_like(text: str, value: object) -> None:
    assert _argument(f"name={text}") == ("name", value)
