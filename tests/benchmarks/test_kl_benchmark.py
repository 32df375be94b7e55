"""The benchmark of function and class: its figures fit together, and its verdicts follow from what NumPy says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import rel_entr

from tests.conftest import run_script

pytestmark = pytest.mark.thorough  # a benchmark in a process of its own

#: Who is held against whom
FUNCTIONS = {
    "function": None,
    "class, unreduced": "function",
    "function, mean": None,
    "class": "function, mean",
    "backend": None,
    "keras_loss, none": "backend",
    "keras_loss": "backend",
    "analytic": None,
    "monte_carlo": None,
}
SIZE = {"batch": 3, "latents": 2, "points": 8}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """Its file and its output for a tiny size."""
    directory = tmp_path_factory.mktemp("kl")
    size = ["--batches", "3", "--latents", "2", "--points", "8"]
    ended = run_script("benchmarks/kl.py", "--quick", *size, "--json", "figures.json", cwd=Path(directory))
    assert ended.status == 0, ended.stderr
    assert ended.stderr == ""
    return json.loads((directory / "figures.json").read_text()), ended.stdout


def test_figures(measured: tuple[dict[str, Any], str]) -> None:
    facts, printed = measured
    times = {(found["mode"], found["pass"], found["contender"]): found for found in facts["figures"]}
    passes = [(mode, what) for mode in ("eager", "graph", "xla") for what in ("forward", "and backward")]
    assert list(times) == [(*where, name) for where in passes for name in FUNCTIONS]
    for (mode, what, name), found in times.items():
        assert {name: found[name] for name in SIZE} == SIZE
        assert len(found["rounds"]) == 3
        assert min(found["rounds"]) > 0
        assert found["microseconds"] == np.median(found["rounds"])
        for ratio, other in [("times_function", FUNCTIONS[name]), ("times_analytic", "analytic")]:
            if other:
                against = times[mode, what, other]["rounds"]
                assert found[ratio] == pytest.approx(np.median(np.divide(found["rounds"], against)))
            else:
                assert found[ratio] is None
        assert f"{found['microseconds']:.0f}" in printed
    assert "batch 3, 2 latents, 8 points" in printed


def test_the_claims_on_inputs_and_reduction(measured: tuple[dict[str, Any], str]) -> None:
    facts, printed = measured
    p, q, weight = (np.array(facts["pairs"][name]) for name in ("p", "q", "weight"))
    values = rel_entr(p, q).sum(axis=1)
    inputs, reduction, _ = facts["claims"]

    assert inputs["holds"] is True
    assert inputs["differ"] == ["of different ranks", "with a mask", "of another type than float32"]
    *taken, ranks, masked, wide, narrow, whole = inputs["checks"]
    assert len(taken) == 4
    for found in taken:
        assert found["function"] == found["class"] == pytest.approx(values, rel=1e-5)
    # (1, 2) against (1, 2, 1): the function broadcasts to (1, 2, 2), the class drops the last axis
    assert ranks["function"] == [pytest.approx(p[0] @ np.log(p[0] / q[0][:, np.newaxis]).T, rel=1e-5)]
    assert ranks["class"] == pytest.approx(values[:1], rel=1e-5)
    assert masked["function"] == pytest.approx(values, rel=1e-5)
    assert masked["class"] == pytest.approx(values * [1, 0, 1], rel=1e-5)
    assert [wide["function"], narrow["function"], whole["function"]] == ["float64", "float16", "TypeError"]
    assert {wide["class"], narrow["class"], whole["class"]} == {"float32"}

    assert reduction["holds"] is True
    found = {check["reduction"]: [check["unweighted"], check["weighted"]] for check in reduction["checks"]}
    assert found["function"] == [found["class, none"][0], None]
    expected = {
        "class, none": [values, weight * values],
        "class, sum_over_batch_size": [values.mean(), (weight * values).mean()],
        "class, sum": [values.sum(), (weight * values).sum()],
        "class, mean_with_sample_weight": [values.mean(), np.average(values, weights=weight)],
    }
    assert found.keys() == {"function", *expected}
    for name, figures in expected.items():
        for measured_value, figure in zip(found[name], figures, strict=True):
            assert measured_value == pytest.approx(figure, rel=1e-5), name
    assert "0.2231" in printed
    for claim in (inputs, reduction):
        assert claim["verdict"].split(";")[0] in printed


def test_the_claim_on_speed(measured: tuple[dict[str, Any], str]) -> None:
    facts, printed = measured
    claim = facts["claims"][2]
    of_mode: dict[str, list[float]] = {}
    for found in facts["figures"]:
        if found["contender"] in ("class", "class, unreduced"):
            of_mode.setdefault(found["mode"], []).append(found["times_function"])
            (check,) = (
                check
                for check in claim["checks"]
                if [check["mode"], check["pass"], check["times function"]]
                == [found["mode"], found["pass"], found["contender"]]
            )
            assert check["least"] == check["median"] == check["most"] == found["times_function"]
    slower = [mode for mode, ratios in of_mode.items() if np.median(ratios) > 1.05]
    assert claim["holds"] == bool(slower)
    assert claim["verdict"] == (f"holds in mode {', '.join(slower)}" if slower else "does not hold")
    assert claim["verdict"] in printed
