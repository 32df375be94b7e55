"""Each rule of the diagnosis fires on a real short run that it is for, and on measurements just beyond its threshold.

How often the rules are right is counted in benchmarks/diagnosis.py.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import run_here
from tests.reading import QUICK, summary_of
from vae.cli.outcome import weight_of_kl
from vae.diagnosis import RULES, diagnose, format_findings
from vae.runs.files import write_json

GREY = ["likelihood=gaussian", "data.binarization=none"]

#: For each rule: options that provoke it, words of its sentence, and other rules that rightly fire, too
PROVOKED = {
    "collapsed_by_weight": (
        ["experiment=recipe/old_keras_blog", "data=digits", "data.binarization=none", "trainer.epochs=8"],
        ["an effective beta of 392", "(beta.value)", "beta.value=1"],
        set(),
    ),
    "never_warmed_up": (
        ["beta=linear", "beta.length=500", "trainer.epochs=4"],
        ["beta was 0.008 of 1", "beta.length"],
        set(),
    ),
    "collapsed_by_itself": (
        [*GREY, "likelihood.scale=5", "trainer.epochs=12"],
        ["at an effective beta of 1", "the decoder ignores z", "objective.free_bits"],
        set(),
    ),
    "collapsed_at_unknown_weight": (
        [*GREY, "likelihood.scale=5", "kl.direction=reverse", "audit=none", "trainer.epochs=12"],
        ["at a weight that is not known", "beta (1) may be too large", "audit=default"],
        set(),
    ),
    "hardly_weighed": (
        ["kl=keras_loss", "trainer.epochs=2"],
        ["was 0.0625 instead of 1", "kl.calibrate=true"],
        set(),
    ),
    "negative": (
        ["kl=raw", "trainer.epochs=15"],
        ["is negative (-", "kl=analytic"],
        {"blind"},
    ),
    "saturated_histogram": (
        ["kl=backend", "kl.support=histogram", "kl.points=8", "beta.value=0.05", "trainer.epochs=20"],
        ["misses", "of the KL", "kl.support=quadrature"],
        {"misdirected"},
    ),
    "blind": (
        ["kl=raw", "kl.form=log_var", "trainer.epochs=2"],
        ["100% of its gradient is zero", "clipped", "kl=analytic"],
        set(),
    ),
    "misdirected": (
        ["kl=raw", "kl.form=softmax", "trainer.epochs=8"],
        ["hardly pulls towards the prior", "cosine", "kl=analytic"],
        set(),
    ),
}


def test_every_rule_is_provoked() -> None:
    assert set(PROVOKED) == set(RULES)


@pytest.mark.thorough
@pytest.mark.parametrize("rule", PROVOKED)
def test_a_rule_names_the_cause_and_what_to_try(rule: str, tmp_path: Path) -> None:
    options, words, beside = PROVOKED[rule]
    ended = run_here("train.py", *options, "hydra.run.dir=run", QUICK, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    found = {finding["rule"]: finding["words"] for finding in summary_of(tmp_path / "run")["diagnosis"]}
    assert rule in found, found
    assert set(found) <= {rule} | beside
    for word in words:
        assert word in found[rule]
    assert f"diagnosis  {found[rule]}" in ended.stdout


@pytest.mark.thorough
def test_a_good_run_has_no_finding_and_evaluate_says_the_same(tmp_path: Path) -> None:
    ended = run_here("train.py", "trainer.epochs=5", "hydra.run.dir=run", QUICK, cwd=tmp_path)
    assert summary_of(tmp_path / "run")["diagnosis"] == []
    assert "diagnosis  no problems found" in ended.stdout
    evaluate = ["evaluate.py", "run=run", "nll_samples=1", "take=50"]
    assert "diagnosis  no problems found" in run_here(*evaluate, cwd=tmp_path).stdout


@pytest.mark.thorough
@pytest.mark.parametrize("figures", [5, {"kl": "many"}, {}], ids=str)
def test_a_run_whose_figures_are_damaged_is_measured(figures: object, trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    (tmp_path / "run" / "summary.json").write_text(json.dumps({"status": "finished", "validation": figures}))
    with pytest.warns(UserWarning, match=r"^run/summary.json: its figures are damaged; the run is not diagnosed$"):
        ended = run_here("evaluate.py", "run=run", "nll_samples=1", "take=10", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert "diagnosis" not in ended.stdout


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:effective beta is 0.0625")  # the run's own
def test_a_run_that_ends_with_damaged_figures_is_not_diagnosed(trained_run: Path, tmp_path: Path) -> None:
    """A weight of the KL, and a beta of 0. The resume has no epoch left to train, and takes its figures as they are."""
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    history = pd.read_csv(run / "history.csv")
    history[["train/beta", "train/effective_beta", "validation/kl"]] = 0.0, 5.0, 0.0
    history.to_csv(run / "history.csv", index=False)
    write_json(run / "summary.json", {"status": "interrupted"})
    with pytest.warns(UserWarning, match=r"^run/history.csv: its figures are damaged; the run is not diagnosed$"):
        ended = run_here("train.py", "resume=run", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert "diagnosis" not in ended.stdout
    assert "diagnosis" not in summary_of(run)


@pytest.mark.parametrize("audit", [{}, {"local_weight": 0.5}, {"residual_share": 0.5}])
def test_an_outcome_names_no_weight_that_was_not_measured(audit: dict[str, float]) -> None:
    assert weight_of_kl({"effective_beta": None, "audit": audit}) == "no effective beta"


@pytest.mark.thorough
@pytest.mark.parametrize("options", [["kl=mmd", "beta.value=1000"], ["kl=jensen_shannon"], ["kl=tc"]])
def test_a_recommended_option_is_no_mistake(options: list[str], tmp_path: Path) -> None:
    run_here("train.py", *options, "trainer.epochs=5", "hydra.run.dir=run", QUICK, cwd=tmp_path)
    assert summary_of(tmp_path / "run")["diagnosis"] == []


#: Audited quantities of a term that is the KL and draws nothing
EXACT = {
    "value/trained": 5.0,
    "gap/trained": 0.0,
    "gradient_cosine/trained": 1.0,
    "gradient_length_ratio/trained": 1.0,
    "dead_gradient_share/trained": 0.0,
    "clipped_share/trained": 0.0,
    "gradient_ratio": 0.5,
    "local_weight": 1.0,
    "residual_share": 0.0,
    "active_units": 16.0,
}
#: Of one that draws samples
ESTIMATE = EXACT | {"gradient_cosine/trained": 0.1, "local_weight_error": 0.01, "residual_share_error": 0.01}
#: Of one that is another divergence
OTHER = {"effective_beta": None, "estimates_kl": False}


def rules_of(
    audit: dict[str, float] = EXACT,
    options: dict[str, Any] | None = None,
    *,
    kl: float = 5.0,
    regularizer: float = 5.0,
    beta: float = 1.0,
    **facts: Any,
) -> list[str]:
    """Return the rules that fire on a run of these measurements."""
    summary = {
        "validation": {"kl": kl, "regularizer": regularizer},
        "train": {"beta": beta, "regularizer": regularizer},
        "effective_beta": beta,
        "estimates_kl": True,
        "audit": audit,
        **facts,
    }
    return [finding.rule for finding in diagnose(summary, {"latent.size": 16, **(options or {})})]


@pytest.mark.parametrize("audit", [EXACT, ESTIMATE])
def test_a_good_run_has_no_finding(audit: dict[str, float]) -> None:
    assert rules_of(audit) == []


def test_missing_measurements_are_not_problems() -> None:
    assert rules_of({}) == []
    assert rules_of({}, effective_beta=None, regularizer=-3.0) == []
    summary = {"validation": {"kl": 5.0, "regularizer": 5.0}, "train": {"beta": 1.0, "regularizer": 5.0}}
    assert diagnose(summary, {}) == []


@pytest.mark.parametrize("latents", [1, 16, 600])
def test_collapse_does_not_depend_on_the_number_of_latent_variables(latents: int) -> None:
    """A fifth of a nat in total, whichever the size; 192 active units of 600 are no collapse, nor are 0 with a KL."""
    options = {"latent.size": latents}
    assert rules_of(options=options, kl=0.21) == []
    assert rules_of(EXACT | {"active_units": 0.0}, options, kl=2.4) == []
    assert rules_of(options=options, kl=0.19) == ["collapsed_by_itself"]
    assert rules_of(options=options, kl=-0.1) == ["collapsed_by_itself"]  # an estimate under a learned prior


@pytest.mark.parametrize(
    ("facts", "audit", "rule"),
    [
        ({"effective_beta": 1.04}, EXACT, "collapsed_by_itself"),
        ({"effective_beta": 1.06}, EXACT, "collapsed_by_weight"),
        ({"effective_beta": 0.3}, EXACT, "collapsed_by_itself"),
        ({"effective_beta": None}, EXACT | {"local_weight": 50.0}, "collapsed_by_weight"),
        ({"effective_beta": None}, EXACT | {"local_weight": 0.0}, "collapsed_by_itself"),  # such as within free bits
        # a local weight within its error of 0 says nothing
        (
            {"effective_beta": None},
            ESTIMATE | {"local_weight": 3.0, "local_weight_error": 1.0},
            "collapsed_at_unknown_weight",
        ),
    ],
)
def test_the_weight_in_a_collapse(facts: dict[str, Any], audit: dict[str, float], rule: str) -> None:
    assert rules_of(audit, kl=0.01, **facts) == [rule]


@pytest.mark.parametrize("beta", [1.0, 1000.0])
@pytest.mark.parametrize(
    ("audit", "remedy"),
    [
        ({}, "Try audit=default"),
        (ESTIMATE | {"local_weight": 3.0, "local_weight_error": 1.0}, "Try kl=analytic"),
    ],
)
def test_beta_is_not_taken_for_a_weight_that_was_not_measured(
    beta: float, audit: dict[str, float], remedy: str
) -> None:
    summary = {
        "validation": {"kl": 0.166, "regularizer": 1.0},
        "train": {"beta": beta, "regularizer": 1.0},
        "effective_beta": None,
        "audit": audit,
    }
    (finding,) = diagnose(summary, {})
    assert f"not known: beta ({beta:.4g}) may be too large, or the decoder may ignore z. {remedy}" in finding.words


def test_the_cause_of_a_collapse_is_named() -> None:
    def words(beta: float) -> str:
        summary = {
            "validation": {"kl": 0.01, "regularizer": 1.0},
            "train": {"beta": beta, "regularizer": 1.0},
            "effective_beta": 128.0,
            "audit": EXACT,
        }
        return format_findings(diagnose(summary, {}))

    assert "128 (beta.value); the ELBO's is 1. Try beta.value=1, or beta=linear" in words(128.0)
    assert "128 (beta 1 times 128 of the regularizer); the ELBO's is 1. Try kl=analytic beta.value=1" in words(1.0)


@pytest.mark.parametrize(("length", "found"), [(0.71, []), (0.69, ["hardly_weighed"])])
def test_a_weight_of_an_exact_term(length: float, found: list[str]) -> None:
    """Free bits and capacity are outside of the regularizer, whose own gradient counts."""
    audit = EXACT | {"gradient_length_ratio/trained": length}
    assert rules_of(audit) == found
    assert rules_of(audit, {"objective.free_bits": 0.5}) == found
    assert rules_of(EXACT | {"local_weight": 0.3}, {"objective.free_bits": 0.5}) == []
    assert rules_of(EXACT | {"local_weight": -1.0}, {"objective.capacity": 10.0}) == []


def test_a_weight_of_an_estimate() -> None:
    """By the largest weight within four standard errors, and only if the direction is the KL's."""
    assert rules_of(ESTIMATE | {"local_weight": 0.65}) == ["hardly_weighed"]
    assert rules_of(ESTIMATE | {"local_weight": 0.67}) == []
    assert rules_of(ESTIMATE | {"local_weight": 0.5, "residual_share": 0.8}) == []  # such as kl=tc
    assert rules_of(ESTIMATE | {"local_weight": 0.3}, {"objective.free_bits": 0.5}) == []
    assert rules_of(ESTIMATE | {"local_weight": 13.0}, beta=20.0) == ["hardly_weighed"]


def test_another_divergence_is_no_mistake_unless_it_hardly_pulls() -> None:
    """Figures of kl=jensen_shannon, of kl=mmd beta.value=1000 and of kl=mmd, 20 epochs on digits."""
    jensen_shannon = EXACT | {"gradient_cosine/trained": 0.81, "gradient_length_ratio/trained": 0.15}
    assert rules_of(jensen_shannon | {"local_weight": 0.12, "gradient_ratio": 0.32}, kl=20.7, **OTHER) == []
    mmd = ESTIMATE | {"gradient_cosine/trained": -0.06, "local_weight": 0.12, "local_weight_error": 0.14}
    assert rules_of(mmd | {"gradient_ratio": 6.8}, beta=1000.0, **OTHER) == []
    weak = ESTIMATE | {"local_weight": 0.009, "local_weight_error": 1e-4, "gradient_ratio": 0.035}
    assert rules_of(weak, kl=67.0, **OTHER) == ["hardly_weighed"]
    assert rules_of(weak | {"gradient_ratio": 0.11}, kl=67.0, **OTHER) == []
    assert rules_of(weak | {"local_weight": 0.031}, kl=67.0, **OTHER) == []
    assert rules_of(weak, kl=67.0, beta=0.5, **OTHER) == []  # a weak beta was asked for


def test_negative_is_a_mistake_only_of_a_term_that_draws_nothing() -> None:
    assert rules_of(regularizer=-0.06) == ["negative"]
    assert rules_of(regularizer=-0.04) == []
    assert rules_of(ESTIMATE, regularizer=-2.0) == []
    unknown = {name: value for name, value in EXACT.items() if name != "local_weight"}
    assert rules_of(unknown, regularizer=-2.0) == []


def test_a_histogram_is_judged_without_its_reduction() -> None:
    """Sixteen latent variables: a mean over them that is 0.3 of 5 nats misses 4 %, and 0.25 misses 20 %."""
    histogram = {"kl.support": "histogram"}
    mean = histogram | {"kl.reduction": "sum_over_batch_size", "kl.calibrate": False}
    length = {"gradient_length_ratio/trained": 1 / 16}

    def audit(value: float) -> dict[str, float]:
        return EXACT | {"value/trained": value, "gap/trained": value - 5.0}

    assert rules_of(audit(4.51), histogram) == []
    assert rules_of(audit(4.49), histogram) == ["saturated_histogram"]
    assert rules_of(audit(4.49)) == []
    assert rules_of(audit(0.3) | length, mean) == ["hardly_weighed"]
    assert rules_of(audit(0.25) | length, mean) == ["hardly_weighed", "saturated_histogram"]
    assert rules_of(audit(4.49), mean | {"kl.calibrate": True}) == ["saturated_histogram"]
    assert rules_of(audit(4.0), histogram | {"kl.direction": "reverse"}) == []  # the gap is to D[q||p]


def test_blind_above_half_of_the_entries() -> None:
    assert rules_of(EXACT | {"dead_gradient_share/trained": 0.49}) == []
    assert rules_of(EXACT | {"dead_gradient_share/trained": 0.51}) == ["blind"]


def test_misdirected_with_nine_tenths_in_other_directions() -> None:
    """The cosine is then 0.316. Other directions of the KL have gradients of their own; no push away is among them."""
    assert rules_of(EXACT | {"gradient_cosine/trained": 0.32}) == []
    assert rules_of(EXACT | {"gradient_cosine/trained": 0.31}) == ["misdirected"]
    assert rules_of(EXACT | {"gradient_cosine/trained": 0.1}, {"kl.direction": "reverse"}) == []
    assert rules_of(EXACT | {"gradient_cosine/trained": -0.1}, {"kl.direction": "reverse"}) == ["misdirected"]
    assert rules_of(ESTIMATE | {"local_weight": -0.03}) == []
    assert rules_of(ESTIMATE | {"local_weight": -0.05}) == ["misdirected"]
    assert rules_of(ESTIMATE | {"local_weight": -1.0}, {"objective.capacity": 10.0}) == []
    assert rules_of(EXACT | {"gradient_cosine/trained": -0.1}, **OTHER) == []


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"beta.length": 10, "beta.value": 1.0}, ["never_warmed_up"]),
        ({"beta.length": 10, "beta.value": 0.5}, []),
        ({"beta.length": 10, "beta.value": 1.0, "beta.rising": 0.5}, []),  # cyclical
    ],
)
def test_never_warmed_up(options: dict[str, Any], found: list[str]) -> None:
    assert rules_of(options=options, beta=0.5) == found
