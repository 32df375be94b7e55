"""The table of configurations, against SciPy."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.compare.conftest import ELBOS, MakeRun
from vae.compare import compare, differences, load_runs, reasons_not_to_compare
from vae.compare.configurations import by_configuration, last_epochs


def test_means_and_intervals_equal_scipy(runs: Path) -> None:
    table = compare(load_runs(runs), elbo=-22.0)
    assert table["configuration"].tolist() == ["kl=analytic", "kl=backend", "kl=keras_loss"]
    for _, row in table.iterrows():
        values = np.array(ELBOS[row["configuration"]])
        low, high = stats.t.interval(0.95, 2, loc=values.mean(), scale=stats.sem(values))
        assert row["elbo"] == pytest.approx(values.mean())
        assert row["elbo_interval"] == pytest.approx((high - low) / 2)
    assert table["steps_to_elbo"].tolist()[:2] == [20.0, 20.0]
    assert np.isnan(table["steps_to_elbo"].iloc[2])


def test_configurations_keep_the_order_of_their_runs(make_run: MakeRun, tmp_path: Path) -> None:
    """So that a color means the same in all plots."""
    for number, kl in enumerate(["tc", "analytic", "raw", "analytic"]):
        make_run(str(number), [f"kl={kl}"], [-40.0, -30.0], seed=number, kl=kl)
    last = last_epochs(load_runs(tmp_path / "runs"))
    assert [name for name, _ in by_configuration(last)] == ["kl=tc", "kl=analytic", "kl=raw"]


def test_one_run_of_each_seed_counts(make_run: MakeRun, tmp_path: Path) -> None:
    """The same command twice is no second seed, and an interrupted repeat takes nothing from a finished run."""
    for seed, gap in enumerate([0.0, 0.2, 0.1]):
        for repeat in "xy":
            make_run(f"a{seed}{repeat}", ["kl=analytic"], [-40.0, -20.0 - seed], seed)
            make_run(f"b{seed}{repeat}", ["kl=tc"], [-40.0, -22.0 - seed - gap], seed, kl="tc")
        options = {"trainer": {"epochs": 2}}
        make_run(f"b{seed}z", ["kl=tc"], [-60.0] * 3, seed, status="interrupted", kl="tc", options=options)
    make_run("a3", ["kl=analytic"], [-90.0], seed=3, status="running", options=options)
    frame = load_runs(tmp_path / "runs", tmp_path / "runs" / ".." / "runs")
    assert frame["run"].nunique() == 16
    table = compare(frame).set_index("configuration")
    assert table["runs"].tolist() == [7, 9]
    assert table.loc["kl=analytic", "elbo"] == pytest.approx(-21.0)
    assert table.loc["kl=tc", "elbo"] == pytest.approx(np.mean([-22.0, -23.2, -24.1]))
    assert table.loc["kl=analytic", "elbo_interval"] == pytest.approx(stats.t.ppf(0.975, 2) / np.sqrt(3))
    (row,) = differences(frame).to_dict("records")
    assert (row["difference"], row["seeds"]) == (pytest.approx(-2.1), 3)


def test_equal_options_are_one_configuration_whatever_the_overrides(make_run: MakeRun, tmp_path: Path) -> None:
    first = make_run("a", ["kl=analytic"], [-20.0])
    second = make_run("b", ["kl=analytic", "trainer.threads=1", "data.dir=elsewhere"], [-20.0], seed=1)
    (second / ".hydra" / "config.yaml").write_text((first / ".hydra" / "config.yaml").read_text())
    assert compare(load_runs(tmp_path / "runs"))["runs"].tolist() == [2]


def test_numbers_tell_equal_overrides_of_different_options_apart(make_run: MakeRun, tmp_path: Path) -> None:
    for points in (8, 16, 32):
        make_run(f"of_{points}", ["kl=backend"], [-20.0], options={"kl": {"points": points}})
    table = compare(load_runs(tmp_path / "runs"))
    assert sorted(table["configuration"]) == ["defaults", "defaults (2)", "defaults (3)"]


def test_runs_without_a_readable_configuration_are_one(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1):
        (make_run(f"run{seed}", [], [-20.0], seed=seed) / ".hydra" / "config.yaml").unlink()
    (row,) = compare(load_runs(tmp_path / "runs")).to_dict("records")
    assert (row["configuration"], row["runs"]) == ("defaults", 2)


def test_images_of_different_sizes_are_not_compared(make_run: MakeRun, tmp_path: Path) -> None:
    """The default is null, which is a value, too."""
    make_run("a", ["kl=analytic"], [-20.0], options={"data": {"shape": None}})
    make_run("b", ["data.shape=[4,4,1]"], [-5.0], options={"data": {"shape": [4, 4, 1]}})
    (tmp_path / "runs" / "foreign").mkdir()
    (tmp_path / "runs" / "foreign" / "history.csv").write_text("a,b\n1,2\n")
    frame = load_runs(tmp_path / "runs")
    assert reasons_not_to_compare(frame) == [
        "The runs differ in image size ([4, 4, 1], null): ELBOs are compared only between runs that share it."
    ]
    assert {"kl=analytic", "data.shape=[4,4,1]"} <= set(compare(frame)["configuration"])
