"""Convergence: the best epoch, the rise at the end, times to a target and curves of differences, against NumPy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.compare.conftest import MakeRun
from tests.conftest import Outcome
from vae.compare import compare, conclusions, difference_curves, differences, load_runs


@pytest.fixture
def load(tmp_path: Path) -> Callable[[], pd.DataFrame]:
    return lambda: load_runs(tmp_path / "runs")


def row_of(table: pd.DataFrame, name: str) -> pd.Series:
    return table.set_index("configuration").loc[name]


def test_the_best_epoch_and_the_rise_at_the_end(make_run: MakeRun, load: Callable[[], pd.DataFrame]) -> None:
    """Over the last fifth of twenty epochs: four of them."""
    random = np.random.default_rng(0)
    curves = [-20.0 - 30.0 / np.arange(1, 21) + random.normal(0.0, 0.1, 20) for _ in range(3)]
    for seed, curve in enumerate(curves):
        make_run(f"a{seed}", ["kl=analytic"], curve.tolist(), seed)
    (row,) = compare(load()).to_dict("records")
    slopes = [np.polyfit(np.arange(17, 21), curve[-4:], 1)[0] for curve in curves]
    assert row["rise"] == pytest.approx(np.mean(slopes))
    assert row["late_rise"] == pytest.approx(4 * np.mean(slopes))
    assert row["best_elbo"] == pytest.approx(np.mean([curve.max() for curve in curves]))
    assert row["best_epoch"] == pytest.approx(np.mean([curve.argmax() + 1 for curve in curves]))
    half = stats.t.ppf(0.975, 2) * stats.sem([curve.max() for curve in curves])
    assert row["best_elbo_interval"] == pytest.approx(half)


def test_two_epochs_tell_of_no_rise(make_run: MakeRun, load: Callable[[], pd.DataFrame]) -> None:
    make_run("a", ["kl=analytic"], [-40.0, -20.0])
    make_run("b", ["kl=raw"], [np.nan, np.nan, np.nan], kl="raw", status="diverged")
    make_run("c", ["kl=tc"], [], kl="tc", status="running")
    table = compare(load(), elbo=-30.0)
    assert table["rise"].isna().all()
    assert row_of(table, "kl=analytic")["best_epoch"] == 2
    assert table["reached"].fillna(0).sum() == 1


def test_a_verdict_that_is_another_at_the_best_epochs_is_said(
    make_run: MakeRun, load: Callable[[], pd.DataFrame]
) -> None:
    """One configuration overfits after its best epoch, at which it was equivalent; another stays where it was."""
    for seed in range(4):
        noise = 0.01 * seed**2
        make_run(f"a{seed}", ["kl=analytic"], [-40.0, -20.5, -20.0], seed)
        make_run(f"b{seed}", ["kl=backend"], [-40.0, -20.0 + noise, -25.0 + noise], seed)
        make_run(f"c{seed}", ["kl=tc"], [-40.0, -31.0, -30.0 + noise], seed)
    runs = load()
    last = differences(runs, "kl=analytic").set_index("configuration")
    best = differences(runs, "kl=analytic", at="best").set_index("configuration")
    assert last.loc["kl=backend", "difference"] == pytest.approx(-5.0 + 0.035)
    assert best.loc["kl=backend", "difference"] == pytest.approx(0.035)
    assert best.loc["kl=tc", "difference"] == last.loc["kl=tc", "difference"]
    # The KL is here the number of the epoch: that of the best epoch of each run
    of_kl = differences(runs, "kl=analytic", "kl", at="best").set_index("configuration")["difference"]
    assert of_kl.tolist() == [-1.0, 0.0]
    said = conclusions(runs, "kl=analytic")
    assert sum("kl=tc:" in sentence for sentence in said) == 1
    assert (
        "equivalent to kl=analytic within 0.5 nats (+0.035 ± 0.064, 4 seeds, each at its best epoch, so far)"
        in said[-2]
    )
    assert said[-1].startswith("All verdicts on differences at the best epochs together are right with 95 %")


def test_a_running_run_is_compared_at_the_best_epoch_so_far(
    make_run: MakeRun, load: Callable[[], pd.DataFrame]
) -> None:
    for seed in (0, 1):
        make_run(f"a{seed}", ["kl=analytic"], [-30.0, -40.0, -20.0], seed)
        make_run(f"b{seed}", ["kl=backend"], [-35.0, -32.0 - seed], seed, status="running")
    assert differences(load(), at="best")["difference"].tolist() == [-2.5]


def test_a_verdict_on_unfinished_curves_says_so(make_run: MakeRun, load: Callable[[], pd.DataFrame]) -> None:
    for seed in (0, 1, 2):
        make_run(f"a{seed}", ["kl=analytic"], [-40.0 - seed, -20.0 - seed, -19.9 - seed, -19.9 - seed], seed)
        make_run(f"b{seed}", ["kl=tc"], [-70.0, -60.0, -50.0, -40.0 + 0.1 * seed], seed, kl="tc")
    worse, note, _ = conclusions(load(), "kl=analytic")
    assert "19.0 ± 2.7 nats worse than kl=analytic (3 seeds, so far)." in worse
    assert note == (
        "So far: the ELBO still rises, in nats an epoch, of kl=tc (+10). More epochs may change these verdicts."
    )
    finished = conclusions(load(), "kl=analytic", margin=100.0)
    assert "so far" not in " ".join(finished).lower()


def test_runs_that_never_reach_the_target_count(make_run: MakeRun, load: Callable[[], pd.DataFrame]) -> None:
    """Of four runs of a, one reaches it at epoch 1, one at 4, one never does, and one diverges after an epoch."""
    curves = [[-10.0] * 4, [-90.0] * 3 + [-10.0], [-90.0] * 4]
    for seed, curve in enumerate(curves):
        make_run(f"a{seed}", ["kl=tc"], curve, seed, kl="tc")
    make_run("a3", ["kl=tc"], [-90.0], 3, kl="tc", status="diverged", options={"trainer": {"epochs": 4}})
    make_run("b0", ["kl=analytic"], [-90.0, -10.0, -10.0], 0)
    options = {"trainer": {"epochs": 3}}
    make_run("b1", ["kl=analytic"], [-90.0], 1, status="running", options=options)  # known: not in its first epoch
    table = compare(load(), elbo=-20.0)
    often_failed, other = row_of(table, "kl=tc"), row_of(table, "kl=analytic")
    assert (often_failed["reached"], other["reached"]) == (2, 1)
    assert often_failed["epochs_to_elbo"] == 4
    assert often_failed["steps_to_elbo"] == 40
    assert often_failed["seconds_to_elbo"] == 2.0
    # Up to epoch 3, where the runs of b end: 1, 3, 3 and 3
    assert often_failed["epochs_to_elbo_mean"] == pytest.approx(2.5)
    assert other["epochs_to_elbo"] == 2
    assert other["epochs_to_elbo_mean"] == pytest.approx(2.0)
    assert compare(load(), elbo=0.0)["epochs_to_elbo"].isna().all()


def test_curves_are_paired_at_every_epoch(make_run: MakeRun, load: Callable[[], pd.DataFrame]) -> None:
    random = np.random.default_rng(1)
    ours, baseline = random.normal(-20.0, 1.0, (2, 3, 6))
    for seed in range(3):
        make_run(f"a{seed}", ["kl=analytic"], baseline[seed].tolist(), seed)
        make_run(f"b{seed}", ["kl=tc"], ours[seed].tolist(), seed, kl="tc")
    make_run("b9", ["kl=tc"], [-20.0] * 6, 9, kl="tc")  # has no partner
    gaps = ours - baseline
    curves = difference_curves(load(), "kl=analytic")
    half = stats.t.ppf(1 - 0.025 / 6, 2) * stats.sem(gaps, axis=0)
    assert curves["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert curves["difference"].tolist() == pytest.approx(gaps.mean(axis=0))
    assert curves["low"].tolist() == pytest.approx(gaps.mean(axis=0) - half)
    assert curves["high"].tolist() == pytest.approx(gaps.mean(axis=0) + half)
    assert (curves["seeds"] == 3).all()
    row = row_of(differences(load(), "kl=analytic"), "kl=tc")
    areas = np.trapezoid(gaps, axis=1)
    assert row["area"] == pytest.approx(areas.mean())
    assert row["area_interval"] == pytest.approx(stats.t.ppf(0.975, 2) * stats.sem(areas))


def test_curves_of_runs_that_do_not_match(make_run: MakeRun, load: Callable[[], pd.DataFrame]) -> None:
    """Other lengths, a run that diverged, a figure that is missing, and another epoch without validation."""
    make_run("a0", ["kl=analytic"], [-20.0] * 4, 0)
    options = {"trainer": {"epochs": 4}}
    make_run("a1", ["kl=analytic"], [-21.0, np.nan, -21.0], 1, options=options)
    make_run("a2", ["kl=analytic"], [-22.0] * 4, 2)
    make_run("b0", ["kl=tc"], [-21.0] * 3, 0, kl="tc")
    make_run("b1", ["kl=tc"], [-23.0] * 3, 1, kl="tc")
    make_run("b2", ["kl=tc"], [-25.0, -np.inf], 2, kl="tc", status="diverged", options={"trainer": {"epochs": 3}})
    curves = difference_curves(load(), "kl=analytic")
    assert curves["epoch"].tolist() == [1, 2, 3]
    assert curves["seeds"].tolist() == [3, 1, 2]
    assert curves["difference"].tolist() == [-2.0, -1.0, -1.5]
    assert np.isfinite(curves["low"]).tolist() == [True, False, True]
    row = row_of(differences(load(), "kl=analytic"), "kl=tc")
    assert (row["difference"], row["seeds"]) == (-2.0, 3)  # of the diverged run, where it was last compared


def test_an_epoch_without_validation_has_the_figures_of_the_last_one(
    make_run: MakeRun, load: Callable[[], pd.DataFrame]
) -> None:
    directory = make_run("a", ["kl=analytic"], [-40.0, -30.0, -20.0])
    history = pd.read_csv(directory / "history.csv")
    validated = [column for column in history if column.startswith("validation/")]
    history.loc[2, validated] = np.nan
    history.to_csv(directory / "history.csv", index=False)
    assert compare(load())["elbo"].tolist() == [-30.0]


def test_quantities_known_at_the_end_have_no_curve(make_run: MakeRun, load: Callable[[], pd.DataFrame]) -> None:
    for seed in (0, 1):
        make_run(f"a{seed}", ["kl=analytic"], [-20.0] * 3, seed)
        make_run(f"b{seed}", ["kl=tc"], [-21.0] * 3, seed, kl="tc")
    assert difference_curves(load(), quantity="steps_per_second")["epoch"].tolist() == [3]
    (row,) = differences(load(), quantity="steps_per_second").to_dict("records")
    assert np.isnan(row["area"])
    assert row["verdict"] == "cannot tell yet"  # equivalence is defined in nats only


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--margin", "0"], "--margin=0: must be a number of nats greater than 0"),
        (["--margin", "nan"], "--margin=nan: must be a number of nats greater than 0"),
        (["--elbo", "inf"], "--elbo=inf: must be a number of nats, such as -100"),
    ],
)
def test_numbers_that_mean_nothing_are_mistakes(
    runs: Path, command: Callable[..., Outcome], arguments: list[str], said: str
) -> None:
    ended = command("runs", *arguments)
    assert ended.status == 2
    assert ended.stderr == f"vae.compare: {said}\n"


def test_the_command_judges_by_the_margin(runs: Path, command: Callable[..., Outcome]) -> None:
    narrow = command("runs", "--margin", "0.1").stdout
    assert (
        "kl=backend: cannot tell yet from kl=analytic (+0.00 ± 0.25, 3 seeds); about 13 more seeds would tell" in narrow
    )
    assert "kl=backend: equivalent to kl=analytic within 0.5 nats" in command("runs").stdout
    assert "4 possible claims (a difference; equivalence within 0.5 nats)" in command("runs").stdout
