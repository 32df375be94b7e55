"""Runs as one table."""

from pathlib import Path

from vae.runs import load_runs


def test_a_row_for_each_run_and_epoch(runs: Path) -> None:
    frame = load_runs(runs)
    assert len(frame) == 18
    assert frame["run"].nunique() == 9
    row = frame[(frame["run"] == str(runs / "backend-1")) & (frame["epoch"] == 2)].iloc[0]
    assert (row["validation/elbo"], row["step"], row["seconds"], row["seed"]) == (-20.9, 20, 1.0, 1)
    assert row["option/data.name"] == "digits"
    assert row["overrides"] == ("data=digits", "kl=backend")
