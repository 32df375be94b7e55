"""Paired differences, against SciPy, and the conclusions from them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.compare.conftest import ELBOS, MakeRun
from tests.conftest import Outcome
from vae.compare import (
    compare,
    conclusions,
    default_baseline,
    differences,
    load_runs,
    reasons_not_to_compare,
    write_report,
)


def test_differences_are_paired_by_seed(runs: Path) -> None:
    found = differences(load_runs(runs), "kl=analytic").set_index("configuration")
    for name in ("kl=backend", "kl=keras_loss"):
        gaps = np.array(ELBOS[name]) - np.array(ELBOS["kl=analytic"])
        interval = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
        assert found.loc[name, "difference"] == pytest.approx(gaps.mean())
        assert found.loc[name, "interval"] == pytest.approx((interval.high - interval.low) / 2)
    assert found.loc["kl=backend", "verdict"] == "equivalent"
    assert "equivalent to kl=analytic within 0.5 nats (+0.00 ± 0.25, 3 seeds)" in found.loc["kl=backend", "sentence"]
    worse = found.loc["kl=keras_loss", "sentence"]
    cause = "because it trained at an effective beta of 0.0625"
    assert f"5.10 ± 0.90 nats worse than kl=analytic, {cause} (3 seeds)." in worse
    assert differences(load_runs(runs), "kl=analytic", "steps_per_second")["difference"].tolist() == [0.0, 0.0]
    with pytest.raises(KeyError):
        differences(load_runs(runs), "kl=other")


def test_a_cause_is_named_only_if_the_gradient_has_the_same_direction(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        make_run(f"a{seed}", ["kl=analytic"], [-20.0 - seed], seed)
        make_run(f"b{seed}", ["kl=mmd"], [-30.0 - 1.1 * seed], seed, effective_beta=0.02, residual=0.9)
        make_run(f"c{seed}", ["kl=renyi"], [-15.0 - 1.1 * seed], seed, effective_beta=0.5, residual=0.02)
    found = differences(load_runs(tmp_path / "runs"), "kl=analytic").set_index("configuration")["sentence"]
    assert "with 90% of its squared gradient in other directions than the KL's (3 seeds)" in found["kl=mmd"]
    assert "better than kl=analytic, trained at an effective beta of 0.5" in found["kl=renyi"]
    assert "because" not in " ".join(found)


def test_a_running_run_is_compared_at_its_last_epoch(make_run: MakeRun, tmp_path: Path) -> None:
    """By its last epoch the finished run is far ahead; at the epoch that both have, they are one nat apart."""
    for seed in (0, 1):
        make_run(f"a{seed}", ["kl=analytic"], [-50.0, -40.0 - seed, -20.0], seed)
        make_run(f"b{seed}", ["kl=backend"], [-50.0, -41.0 - seed], seed, status="running")
    found = differences(load_runs(tmp_path / "runs"))
    assert found["difference"].tolist() == [-1.0]
    assert found["interval"].tolist() == [0.0]


def test_values_that_are_not_finite_do_not_count(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        make_run(f"a{seed}", ["kl=analytic"], [-20.0 - seed], seed)
        make_run(f"b{seed}", ["kl=tc"], [-22.0 - seed, [np.nan, -np.inf, -25.0][seed]], seed, kl="tc")
    frame = load_runs(tmp_path / "runs")
    assert compare(frame).set_index("configuration").loc["kl=tc", "elbo"] == -25.0
    (sentence,) = conclusions(frame)
    assert sentence.startswith("Not enough shared seeds to compare any configuration with kl=analytic")


def test_the_weight_is_not_the_cause_if_other_options_differ(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        make_run(f"a{seed}", ["kl=analytic"], [-20.0 - seed], seed, options={"latent": {"size": 16}})
        make_run(
            f"b{seed}", ["kl=keras_loss"], [-30.0 - seed], seed, effective_beta=0.5, options={"latent": {"size": 2}}
        )
    sentence, _ = conclusions(load_runs(tmp_path / "runs"))
    assert "worse than kl=analytic, trained at an effective beta of 0.5" in sentence


def test_the_default_baseline_is_the_closed_form(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", ["kl=backend"], [-19.0], kl="backend")
    make_run("b", ["kl=renyi"], [-30.0], kl="renyi")
    assert default_baseline(load_runs(tmp_path / "runs")) == "kl=backend"
    make_run("c", ["kl=analytic"], [-20.0])
    make_run("d", ["kl=analytic", "beta.value=4"], [-25.0])
    assert default_baseline(load_runs(tmp_path / "runs")) == "kl=analytic"


def test_too_few_shared_seeds_support_no_claim(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", ["kl=analytic"], [-20.0])
    make_run("b", ["kl=backend"], [-30.0])
    make_run("c", ["kl=raw"], [-31.0], seed=7)
    table = compare(load_runs(tmp_path / "runs"))
    assert np.isnan(table["elbo_interval"]).all()
    sentences = differences(load_runs(tmp_path / "runs"))["sentence"].tolist()
    assert "not enough shared seeds to compare with kl=analytic (1; at least 2 needed)" in sentences[0]
    assert "not enough shared seeds to compare with kl=analytic (0; at least 2 needed)" in sentences[1]
    (alone,) = conclusions(load_runs(tmp_path / "runs"))
    assert "at least 2 needed" in alone


def test_a_measured_model_of_an_earlier_epoch_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    """The ELBO is of the last epoch, and what evaluate.py measured of the weights that early stopping restored."""
    steps = {"a0": (20, 30), "a1": (30, 30), "b0": (30, 30), "b1": ("many", 30), "c0": (20, 30)}
    for name, (of_model, of_run) in steps.items():
        run = make_run(name, [f"kl={name[0]}"], [-20.0], int(name[1]))
        summary = json.loads((run / "summary.json").read_text())
        (run / "summary.json").write_text(json.dumps({**summary, "model_steps": of_model, "steps": of_run}))
        if name != "c0":
            (run / "evaluation.json").write_text(json.dumps({"nll": 19.0, "steps": of_run}))
    (restored,) = [text for text in conclusions(load_runs(tmp_path / "runs")) if "restored" in text]
    assert "restored the weights of an earlier epoch in kl=a: the NLL" in restored


def test_different_data_are_not_compared(make_run: MakeRun, tmp_path: Path, command: Callable[..., Outcome]) -> None:
    for seed in (0, 1):
        make_run(f"a{seed}", ["data=digits", "kl=analytic"], [-20.0 - seed], seed)
        make_run(f"b{seed}", ["data=digits", "kl=tc"], [-22.0 - seed], seed, kl="tc")
        make_run(f"c{seed}", ["data=mnist", "kl=analytic"], [-100.0 - seed], seed, data="mnist")
    runs = load_runs(tmp_path / "runs")
    said = [
        "The runs differ in data set (digits, mnist): ELBOs are compared only between runs that share it.",
        "data=digits kl=tc: 2.00 ± 0.00 nats worse than data=digits kl=analytic (2 seeds).",
        "All verdicts on differences together are right with 95 %: 2 possible claims (a difference; equivalence within "
        "0.5 nats), corrected by Holm's method. ± is half of a 95 % interval, of each figure alone.",
        "data=mnist kl=analytic: no other configuration to compare with.",
    ]
    assert reasons_not_to_compare(runs) == said[:1]
    assert conclusions(runs) == said
    assert differences(runs, "data=mnist kl=analytic").empty
    ended = command("runs")
    assert ended.stdout.splitlines()[-4:] == said
    assert 'class="best"' not in write_report(runs, tmp_path / "report").read_text()
