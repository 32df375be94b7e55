"""Runs as one table. Numbers are read from the files of runs of version 0.1.0 by other means."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import REPOSITORY
from vae.errors import UserError
from vae.runs import RunDirectory, load_runs
from vae.runs.loading import RunReader
from vae.runs.paths import runs_below

OLD_RUNS = Path(__file__).parent / "of_0_1_0"
NAMES = ("categorical", "keras_loss", "mixture")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return load_runs(OLD_RUNS)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_for_each_epoch_with_all_columns_of_the_history(name: str, table: pd.DataFrame) -> None:
    with (OLD_RUNS / name / "history.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    rows = table[table["run"] == str(OLD_RUNS / name)]
    assert len(rows) == len(expected) == 3
    for column in expected[0]:
        np.testing.assert_array_equal(rows[column], [float(row[column]) for row in expected])


@pytest.mark.parametrize("name", NAMES)
def test_options_and_summary(name: str, table: pd.DataFrame) -> None:
    row = table[table["run"] == str(OLD_RUNS / name)].iloc[-1]
    config = yaml.safe_load((OLD_RUNS / name / ".hydra" / "config.yaml").read_text())
    summary = json.loads((OLD_RUNS / name / "summary.json").read_text())
    assert row["option/latent.size"] == config["latent"]["size"] == 2
    assert row["option/model.hidden"] == str(config["model"]["hidden"]) == "[6]"
    assert row["option/audit.raw.form"] == config["audit"]["raw"]["form"]
    assert all(row[key] == summary[key] for key in ("status", "seed", "kl", "effective_beta", "engine"))
    given = yaml.safe_load((OLD_RUNS / name / ".hydra" / "overrides.yaml").read_text())
    assert row["overrides"] == tuple(given)


def test_a_compact_table_has_the_same_values_as_categories(table: pd.DataFrame) -> None:
    compact = RunReader(compact=True).read(runs_below(OLD_RUNS))
    categories = [name for name in compact if compact[name].dtype == "category"]
    assert {"option/kl._target_", "option/model.hidden"} < {*categories}
    pd.testing.assert_frame_equal(compact.astype(table.dtypes), table)


def test_several_processes_read_the_same_table(table: pd.DataFrame, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from vae import processes\n"
        "from vae.runs import loading, paths\n"
        "def is_wanted(column):\n"
        "    return not column.startswith('audit/')\n"
        "processes.available_cores, loading._FEWEST = lambda: 2, 1\n"
        "reader = loading.RunReader(is_wanted, forks=True)\n"
        "read = reader.read(paths.runs_below(sys.argv[1]))\n"
        "assert reader.read(paths.runs_below(sys.argv[1])).equals(read)\n"
        "read.to_pickle(sys.argv[2])\n"
    )
    file = tmp_path / "read.pickle"
    subprocess.run([sys.executable, "-c", program, str(OLD_RUNS), str(file)], cwd=REPOSITORY, check=True)
    read = pd.read_pickle(file)
    assert not any(name.startswith("audit/") for name in read)
    pd.testing.assert_frame_equal(read, table[[name for name in table if not name.startswith("audit/")]])


def test_the_evaluation_of_a_measured_run(table: pd.DataFrame) -> None:
    measured = json.loads((OLD_RUNS / "keras_loss" / "evaluation.json").read_text())
    rows = table[table["run"] == str(OLD_RUNS / "keras_loss")]
    assert set(rows["evaluation/nll"]) == {measured["nll"]}
    assert "evaluation/kl_per_latent" not in table
    assert table["evaluation/nll"].isna().sum() == 6


def test_an_evaluation_from_before_a_resume_is_left_out(tmp_path: Path) -> None:
    """Its NLL would stand beside the ELBO of a longer training. Early stopping restored the weights of step 15."""
    for steps in (10, 15, 20, None):
        run = write_run(tmp_path / f"run{steps}", [])
        run.summary.write_text(json.dumps({"status": "finished", "steps": 20, "model_steps": 15}))
        run.evaluation.write_text(json.dumps({"nll": 30.0} if steps is None else {"nll": 30.0, "steps": steps}))
    with pytest.warns(UserWarning, match=r"run10/evaluation.json: is of step 10, and the run's figures are of step 20"):
        found = load_runs(tmp_path).set_index("run")["evaluation/nll"]
    assert found.isna().tolist() == [True, False, False, False]


def test_classes_have_their_present_names(table: pd.DataFrame) -> None:
    config = yaml.safe_load((OLD_RUNS / "mixture" / ".hydra" / "config.yaml").read_text())
    assert config["objective"]["_target_"] == "vae.objective.ELBO"
    assert set(table["option/objective._target_"]) == {"vae.objectives.ELBO"}


def write_run(path: Path, overrides: list[str], status: str = "running") -> RunDirectory:
    run = RunDirectory(path)
    run.hydra.mkdir(parents=True)
    run.summary.write_text(json.dumps({"status": status}))
    run.overrides.write_text(yaml.safe_dump(overrides))
    return run


def test_overrides_name_a_configuration_without_leading_pluses(tmp_path: Path) -> None:
    write_run(tmp_path / "run", ["+trainer.extra=1", "++kl.points=2", "~callbacks", "seed=3", "+data.dir=x", "kl=tc"])
    (row,) = load_runs(tmp_path).to_dict("records")
    assert row["overrides"] == ("trainer.extra=1", "kl.points=2", "~callbacks", "kl=tc")


def test_an_option_that_refers_to_another_has_its_value(tmp_path: Path) -> None:
    """A sweep of beta.value=2,${latent.size} has two configurations, or one if both are 2."""
    run = write_run(tmp_path / "run", ["beta.value=${latent.size}"])
    beta = "{value: '${latent.size}', a: '${..b}', b: '${beta.b}', c: '${beta}'}"
    run.config.write_text(f"beta: {beta}\nlatent: {{size: 2}}\n")
    row = load_runs(tmp_path).iloc[0]
    assert row["option/beta.value"] == 2
    assert [row[f"option/beta.{name}"] for name in "abc"] == ["${..b}", "${beta.b}", "${beta}"]


def test_runs_do_not_nest_and_count_once(tmp_path: Path) -> None:
    write_run(tmp_path / "deep" / "below" / "run", [])
    write_run(tmp_path / "deep" / "below" / "run" / "inner", [])
    table = load_runs(tmp_path, tmp_path / "deep" / ".." / "deep")
    assert len(table) == 1


def test_runs_of_different_columns_share_a_table(tmp_path: Path) -> None:
    """One without an epoch, one with an empty cell and one with text, and a damaged one whose columns are options."""
    histories = {
        "a": "epoch,step,audit/x\n1,10,0.5\n2,20,\n",
        "b": None,
        "c": "epoch,validation/elbo,step\n1,-0.1,word\n",
        "d": "run,status,,epoch\n7,8,9,1\n",
    }
    for name, text in histories.items():
        run = write_run(tmp_path / name, [])
        if text is not None:
            run.history.write_text(text)
    table = load_runs(tmp_path)
    assert table["run"].map(lambda run: Path(run).name).tolist() == ["a", "a", "b", "c", "d"]
    assert set(table["status"]) == {"interrupted"}  # "running", but no process is there
    assert table.columns.is_unique
    nan = np.nan
    expected = {
        "epoch": [1, 2, nan, 1, 1],
        "step": [10, 20, nan, nan, nan],
        "audit/x": [0.5, nan, nan, nan, nan],
        "validation/elbo": [nan, nan, nan, -0.1, nan],
    }
    assert set(table) == {"run", "status", "error", "overrides", *expected}
    for column, values in expected.items():
        np.testing.assert_array_equal(table[column], values)


def test_an_alias_to_its_own_mapping_does_not_stop_loading(tmp_path: Path) -> None:
    write_run(tmp_path / "run", []).config.write_text("a: &a {b: *a}")
    assert load_runs(tmp_path)["status"].tolist() == ["interrupted"]


@pytest.mark.parametrize(("name", "words"), [("missing", "no such folder"), ("empty", "no run in this folder")])
def test_a_folder_without_runs_is_refused(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=f"{name}: {words}"):
        load_runs(tmp_path / name)
