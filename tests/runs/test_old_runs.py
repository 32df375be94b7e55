"""Runs of version 0.1.0 are compared and diagnosed. Numbers are read from their files by other means."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.runs.test_loading import NAMES, OLD_RUNS
from vae.compare import compare, conclusions, load_runs, write_report
from vae.diagnosis import diagnose
from vae.runs import flatten


def last_row(name: str) -> dict[str, float]:
    with (OLD_RUNS / name / "history.csv").open(newline="") as file:
        return {column: float(value) for column, value in list(csv.DictReader(file))[-1].items()}


def test_a_comparison_has_the_values_of_their_last_epochs() -> None:
    table = compare(load_runs(OLD_RUNS))
    order = sorted(NAMES, key=lambda name: -last_row(name)["validation/elbo"])
    for (_, row), name in zip(table.iterrows(), order, strict=True):
        last = last_row(name)
        summary = json.loads((OLD_RUNS / name / "summary.json").read_text())
        assert (row["elbo"], row["kl"]) == (last["validation/elbo"], last["validation/kl"])
        assert row["reconstruction"] == last["validation/reconstruction"]
        assert row["active_units"] == last["audit/active_units"]
        assert row["effective_beta"] == summary["effective_beta"] == last["train/effective_beta"]
        assert row["steps_per_second"] == summary["steps_per_second"]
    measured = json.loads((OLD_RUNS / "keras_loss" / "evaluation.json").read_text())
    assert table["nll"].dropna().tolist() == [measured["nll"]]


def test_a_report_on_them_is_written(tmp_path: Path) -> None:
    runs = load_runs(OLD_RUNS)
    assert any("GaussianLikelihood" in sentence for sentence in conclusions(runs))
    assert "kl.reduction=mean" in write_report(runs, tmp_path).read_text()


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({}, ["hardly_weighed"]),
        ({"effective_beta": 0.75}, []),
        ({"effective_beta": None}, []),
        ({"validation": {"kl": 5.0, "regularizer": -1.0}, "effective_beta": 1.0}, []),
        ({"effective_beta": 2.0, "validation": {"kl": 0.19, "regularizer": 0.1}}, ["collapsed_by_weight"]),
    ],
)
def test_they_are_diagnosed(change: dict[str, Any], rules: list[str]) -> None:
    """A mean over two latent variables halves the weight. Such a run does not tell whether its term draws samples."""
    summary = json.loads((OLD_RUNS / "keras_loss" / "summary.json").read_text())
    row = load_runs(OLD_RUNS / "keras_loss").iloc[-1]
    options = {name.removeprefix("option/"): value for name, value in row.items() if name.startswith("option/")}
    assert [finding.rule for finding in diagnose(summary | change, options)] == rules


def test_flat_options_are_their_leaves() -> None:
    assert flatten({"a": 1, "kl": {"points": 2, "deep": {"er": [3]}}, "callbacks": {}}) == {
        "a": 1,
        "kl.points": 2,
        "kl.deep.er": [3],
    }
