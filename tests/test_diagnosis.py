"""Each rule of the diagnosis fires in a real short run, and none in a good one."""

import json
from pathlib import Path

import pytest

from tests.conftest import run_here
from tests.reading import QUICK, summary_of
from vae.diagnosis import RULES, diagnose

#: For each rule: options that provoke it, words of its sentence, and other rules that rightly fire, too
PROVOKED = {
    "collapsed_by_weight": (
        ["experiment=recipe/old_keras_blog", "data=digits", "data.binarization=none", "trainer.epochs=8"],
        ["effective beta is 392", "caused by beta.value", "beta.value=1"],
        set(),
    ),
    "never_warmed_up": (
        ["beta=linear", "beta.length=500", "trainer.epochs=4"],
        ["beta was 0.008 of 1", "beta.length"],
        set(),
    ),
    "collapsed_by_itself": (
        ["likelihood=gaussian", "likelihood.scale=5", "data.binarization=none", "trainer.epochs=12"],
        ["at an effective beta of 1", "the decoder ignores z", "objective.free_bits"],
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
        {"blind", "hardly_weighed"},
    ),
    "saturated_histogram": (
        ["kl=backend", "kl.support=histogram", "kl.points=12", "beta.value=0.02", "trainer.epochs=80"],
        ["misses", "kl.support=quadrature"],
        {"blind", "hardly_weighed"},
    ),
    "blind": (
        ["kl=raw", "trainer.epochs=2"],
        ["of its gradient is zero", "clipped", "kl=analytic"],
        {"negative", "hardly_weighed"},
    ),
    "misdirected": (
        ["kl=raw", "kl.form=softmax", "trainer.epochs=4"],
        ["does not pull towards the prior", "kl=analytic"],
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
def test_a_good_run_has_no_finding_and_evaluate_says_the_same(trained_run: Path, tmp_path: Path) -> None:
    ended = run_here("train.py", "trainer.epochs=5", "hydra.run.dir=run", QUICK, cwd=tmp_path)
    assert summary_of(tmp_path / "run")["diagnosis"] == []
    assert "diagnosis  no problems found" in ended.stdout
    ended = run_here("evaluate.py", "run=run", "nll_samples=1", "take=50", cwd=tmp_path)
    assert "diagnosis  no problems found" in ended.stdout


def test_missing_measurements_are_not_problems() -> None:
    summary = {
        "validation": {"kl": 5.0, "regularizer": 5.0},
        "train": {"beta": 1.0, "regularizer": 5.0},
        "effective_beta": 1.0,
    }
    assert diagnose(json.loads(json.dumps(summary)), {"latent.size": 4}) == []
