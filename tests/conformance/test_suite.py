"""The conformance suite: our own regularizers pass or fail as they should, and every planted mistake is named."""

import itertools

import pytest

from tests.config.mistaken import WithoutKey
from tests.conformance import mistaken, mistaken_batches, mistaken_draws
from tests.conftest import REPOSITORY
from vae.conformance.suite import CHECKS, CheckResult, run
from vae.errors import UserError
from vae.kl import (
    Analytic,
    Backend,
    JensenShannon,
    KerasLoss,
    KLRegularizer,
    MaximumMeanDiscrepancy,
    MonteCarlo,
    Raw,
    Renyi,
    TotalCorrelation,
)
from vae.kl.check import assert_conforms, run_checks

DIRECTIONS = ("forward", "reverse", "symmetric")
FORWARD, REVERSE, SYMMETRIC = "forward, D[q||p]", "reverse, D[p||q]", "symmetric, their mean"
DIRECTION_ROWS = dict(zip(DIRECTIONS, (FORWARD, REVERSE, SYMMETRIC), strict=True))
DRAWS = {"drawn by the key", "drawn apart from z", "variance of samples"}
CLIPPING = {"large values", "no dead gradients"}
GRADIENTS = {direction: f"gradient, {direction}" for direction in DIRECTIONS}
REDUCTION = {"weight 0 leaves out", "equal weights", "weighted mean", "scale of weights", "weights, square"}


def failed(results: list[CheckResult]) -> dict[str, str]:
    """The advice of the checks that fail, by their names."""
    return {result.name: result.advice for result in results if result.passed is False}


@pytest.mark.thorough
class TestOurOwn:
    @pytest.mark.parametrize(("samples", "direction"), [*itertools.product((None, 1, 8), DIRECTIONS)])
    def test_the_exact_and_the_unbiased_pass_all(self, samples: int | None, direction: str) -> None:
        """Compare in each direction by itself; `Analytic()` alone with the other directions of its class, too."""
        regularizer = Analytic(direction) if samples is None else MonteCarlo(direction, samples)
        others = {rows[other] for rows in (DIRECTION_ROWS, GRADIENTS) for other in DIRECTIONS if other != direction}
        if regularizer.get_config() == Analytic().get_config():
            others = set()
        results = run(regularizer, [check for check in CHECKS if check.name not in others])
        assert failed(results) == {}
        skipped = {
            None: {"unbiased", *DRAWS},
            1: {"drawn by the key"} if direction == "forward" else set(),  # z is its only draw
            8: set(),
        }[samples]
        if samples and direction == "reverse":
            skipped = {"drawn apart from z"}
        assert {result.name for result in results if result.passed is None} == skipped

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
                {FORWARD, REVERSE, SYMMETRIC, *CLIPPING, "size of the batch", "equal weights", "scale of weights"},
            ),
            (Raw(), {FORWARD, REVERSE, SYMMETRIC, *CLIPPING, "not negative"}),
            (Raw(form="softmax"), {FORWARD, REVERSE, SYMMETRIC}),
            (Raw(form="log_var"), {FORWARD, REVERSE, SYMMETRIC, "no dead gradients"}),
            (JensenShannon(), set()),
            (Renyi(), set()),
            (Renyi(alpha=2.0), {"finite at extremes", "float16", "bfloat16"}),  # it is infinite there
            (TotalCorrelation(correlation=1.0), set()),
            (TotalCorrelation(), set()),  # with other weights it is another divergence on purpose
            # Equal z are no independent draws
            (MaximumMeanDiscrepancy(), {"size of the batch"}),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, KLRegularizer) else "",
    )
    def test_each_of_the_others_fails_what_it_should(self, regularizer: KLRegularizer, fails: set[str]) -> None:
        assert set(failed(run_checks(regularizer))) == fails

    def test_the_advice_on_the_loss_class(self) -> None:
        advice = failed(run_checks(KerasLoss()))
        for name in (FORWARD, REVERSE, SYMMETRIC):
            assert (
                "1/5 of the exact value for 5 latent variables: does it average over latent variables" in advice[name]
            )
        assert "clips probabilities to [1e-7, 1]" in advice["large values"]
        assert "divided by the number of examples" in advice["equal weights"]

    def test_another_divergence_skips_what_is_the_kl_s(self) -> None:
        reasons = {result.name: result.advice for result in run_checks(JensenShannon()) if result.passed is None}
        of_the_kl = {check.name for check in CHECKS if check.of_the_kl}
        assert set(reasons) == of_the_kl | DRAWS
        assert {reasons[name] for name in of_the_kl} == {"another divergence on purpose: estimates_kl is False"}


PLANTED = [
    (mistaken.MeanOverLatents(), FORWARD, "average over latent variables instead of summing"),
    (mistaken.SumOverBatch(), FORWARD, "sum over the batch instead of averaging"),
    (mistaken.SumOverBatch(), "size of the batch", "sum over the batch instead of averaging"),
    (mistaken.WrongAxes(), FORWARD, "sum over the batch and average over latent variables"),
    (mistaken.IgnoresWeights(), "weight 0 leaves out", "ignore sample_weight"),
    (mistaken.IgnoresWeights(), "weighted mean", "ignore sample_weight"),
    (mistaken.IgnoresWeights(), "all weights 0", "ignore sample_weight"),
    (mistaken.DividesByExamples(), "equal weights", "divided by the number of examples"),
    (mistaken.MixesRows(), "weighted mean", "other examples' values"),
    (mistaken.Vector(), "float32 scalar", "not a scalar"),
    (mistaken.DoublePrecision(), "float32 scalar", "tf.cast(value, tf.float32)"),
    (mistaken.ReversedSign(), FORWARD, "sign reversed"),
    (mistaken.ReversedSign(), "not negative", "sign reversed"),
    (mistaken.Halved(), FORWARD, "one factor of 1/2 too many"),
    (mistaken.Doubled(), FORWARD, "factor of 1/2 left out"),
    (mistaken.InBits(), FORWARD, "log base 2"),
    (mistaken.SigmaForVariance(), FORWARD, "is sigma taken for the variance?"),
    (mistaken.SigmaInOneTerm(), FORWARD, "is sigma taken for the variance in one term of the formula?"),
    (mistaken.LogVarForLogSigma(), FORWARD, "is log_var taken for log sigma?"),
    (mistaken.LogVarForLogSigmaInOneTerm(), FORWARD, "is log_var taken for log sigma in one term of the formula?"),
    (mistaken.ConstantLeftOut(), FORWARD, "is the -1 of"),
    (mistaken.ConstantLeftOut(), "zero at the prior", "constant left out"),
    (mistaken.MeansLeftOut(), FORWARD, "means left out"),
    (mistaken.TwoMistakes(), FORWARD, "factor of 1/2 left out?; moreover, it is 1/5"),
    (mistaken.WrongWayAround(), FORWARD, "it is D[p||q]: are the distributions the wrong way round?"),
    (mistaken.WrongWayAround(), REVERSE, "it is D[q||p]: are the distributions the wrong way round?"),
    (mistaken.FromThePrior(), FORWARD, "drawn from the prior"),
    (mistaken.AlwaysFromThePosterior(), REVERSE, "drawn from the posterior"),
    (mistaken.AlwaysFromThePosterior(), SYMMETRIC, "identically zero"),
    (mistaken.TooWide(), "unbiased", "do the samples come from the distribution that the expectation is under"),
    (mistaken.HiddenNoise(), "repeatable", "its argument `key`"),
    (mistaken.Capped(), "large values", "clipped"),
    (mistaken.ClippedLogVar(), "no dead gradients", "0% of the gradients with respect to mu and 33%"),
    (mistaken.Stopped(), "no dead gradients", "tf.stop_gradient"),
    (mistaken.OfDensities(), "finite at extremes", "mu=20 log_var=0"),
    (mistaken.InNumPy(), "float32 scalar", "outside TensorFlow"),
    (mistaken.OnlyEager(), "runs in a graph", "numpy"),
    (mistaken.InTheTypeOfWeights(), "float16", "compute in the dtype of z or sample_weight"),
    (mistaken.ChangesItsArgument(), "configuration", "constructor argument unchanged"),
    (mistaken_draws.LogOfAMean(), "unbiased", "below the exact value: is q(z|x), or a ratio, a mean over draws"),
    (mistaken_draws.DensityOfTheBatch(), "unbiased", "below the exact value: is q(z|x), or a ratio, a mean over draws"),
    (mistaken_draws.ClippedAtZero(), "unbiased", "above the exact value: is a maximum, an absolute value"),
    (mistaken_draws.AbsoluteValue("reverse"), "unbiased", "above the exact value: is a maximum, an absolute value"),
    (mistaken_draws.RepeatsZ(), "drawn apart from z", "its variance is another. Do they repeat the noise of z?"),
    (mistaken_draws.RepeatsZ(), "variance of samples", "one key for several draws"),
    (mistaken_draws.OneKeyForAll(), "variance of samples", "one key for several draws"),
    (mistaken_draws.ConstantKey(), "drawn by the key", "drawn with a constant key or seed"),
    (mistaken_draws.IgnoresTheStep(), "drawn by the key", "differs only in the step"),
    (mistaken_draws.IgnoresTheStream(), "drawn by the key", "differs only in the seed and the stream"),
    (mistaken_draws.StoppedLogVar(), GRADIENTS["reverse"], "that of log_var is 0 on average"),
    (mistaken_draws.DetachedSample(), GRADIENTS["forward"], "are the samples behind tf.stop_gradient?"),
    (mistaken_draws.DetachedSample(), GRADIENTS["symmetric"], "only the half D[p||q] has a gradient"),
    (
        mistaken_draws.GradientOfForward(),
        GRADIENTS["reverse"],
        "it is the gradient of D[q||p], and the value is D[p||q]",
    ),
    (mistaken_draws.HalfStopped("symmetric"), GRADIENTS["symmetric"], "only the half D[q||p] has a gradient"),
    (mistaken_draws.StoppedEntropy(), GRADIENTS["forward"], "the term log q(z|x) has no gradient"),
    (mistaken_draws.ForLogSigma(), GRADIENTS["forward"], "is it the one of log sigma?"),
    (mistaken_batches.AlignsWithLatents(), "weights, square", "values of shape (3, 3) the weights, (3,), broadcast"),
    (mistaken_batches.AtLeastOne(), "scale of weights", "kept from 0 by a maximum"),
    (mistaken_batches.ClipsWeights(), "weighted mean", "are the weights clipped"),
    (mistaken_batches.DividesByTheSum(), "all weights 0", "tf.math.divide_no_nan"),
    (mistaken_batches.HonoursTheMask(), "mask", "to a Keras loss class as y_pred"),
    (mistaken_batches.SqueezesLatents(), "axes of length 1", "shape (4, 1), and right for longer axes"),
    (mistaken_batches.SqueezesExamples(), "axes of length 1", "shape (1, 5), and right for longer axes"),
    (mistaken.ForgetsItsArgument(), "configuration", "has no attribute 'strength'"),
]


@pytest.mark.parametrize(
    ("regularizer", "name", "words"), PLANTED, ids=[f"{type(planted).__name__}-{name}" for planted, name, _ in PLANTED]
)
def test_names_the_mistake(regularizer: KLRegularizer, name: str, words: str) -> None:
    advice = failed(run(regularizer, [check for check in CHECKS if check.name == name]))
    assert words in advice[name]


@pytest.mark.parametrize(
    "right",
    [
        mistaken.Formula(),
        pytest.param(mistaken_draws.Estimate(), marks=pytest.mark.thorough),
        mistaken_draws.StickingTheLanding(),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_they_go_wrong_from_passes(right: KLRegularizer) -> None:
    assert_conforms(right)


def test_without_a_scalar_all_other_checks_are_skipped() -> None:
    results = run_checks(mistaken.Vector())
    assert [result.passed for result in results] == [False, *([None] * (len(results) - 1))]


def test_an_error_lists_all_failures() -> None:
    with pytest.raises(AssertionError) as raised:
        assert_conforms(mistaken.ReversedSign())
    lines = str(raised.value).splitlines()
    assert lines[0] == "ReversedSign does not conform:"
    assert "forward, D[q||p]: measured -2.759, expected 2.759 within 1%: it is minus the exact value" in str(
        raised.value
    )
    assert len(lines) == 1 + len(failed(run_checks(mistaken.ReversedSign())))


def test_a_class_without_the_key_is_refused_in_one_line() -> None:
    for function in (run_checks, assert_conforms):
        with pytest.raises(
            UserError, match=r"^WithoutKey.__call__ must be __call__\(self, posterior, prior, z, \*, key"
        ):
            function(WithoutKey())


def test_the_reference_lists_every_check() -> None:
    rows = [line for line in (REPOSITORY / "docs/reference/check.md").read_text().splitlines() if line.startswith("|")]
    listed = "; ".join(row.replace(r"\|", "¦").split("|")[1].strip() for row in rows[2:]).replace("¦", "|").split("; ")
    assert listed == [check.name for check in CHECKS]
