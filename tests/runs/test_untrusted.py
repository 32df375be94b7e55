"""Only a run's own regular files are read, up to a size."""

import json
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.runs.test_loading import write_run
from vae.errors import UserError, printable
from vae.runs import RunDirectory, load_runs, loading
from vae.runs.files import write_json
from vae.runs.history import HistoryWriter
from vae.runs.lock import holder
from vae.runs.untrusted import LIMITS, RefusedFileError, check_files, read_text, read_yaml

GIBIBYTE = 2**30


def enlarge(path: Path) -> None:
    """Make a file one of gigabytes of zeros, which take no space."""
    path.touch()
    os.truncate(path, 8 * GIBIBYTE)


def link_out(path: Path) -> None:
    path.unlink(missing_ok=True)
    outside = path.parents[2] / "outside"
    outside.write_text("epoch,step\n1,1\n")
    path.symlink_to(outside)


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


NAMES = ("summary", "history", "evaluation", "config", "overrides")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("change", "reason"), [(enlarge, "8,192 MiB"), (link_out, "is a link to"), (pipe, "a pipe")])
def test_a_comparison_warns_of_a_file_that_it_does_not_read(
    name: str, change: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    good, bad = (write_run(tmp_path / "runs" / name, ["kl=tc"], "finished") for name in ("good", "bad"))
    change(getattr(bad, name))
    with pytest.warns(UserWarning, match=rf"bad/.*{reason}.*not read"):
        table = load_runs(tmp_path / "runs").set_index("run")
    assert table.loc[str(good), "status"] == "finished"
    assert table.loc[str(bad), "status"] == ("damaged" if name == "summary" else "finished")
    assert table.loc[str(bad)].drop(["status", "overrides"]).isna().all()


def test_a_link_to_itself_is_not_read(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "bad", [])
    run.history.symlink_to(run.history.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.13 takes it for a missing file
        assert load_runs(tmp_path / "runs")["status"].tolist() == ["interrupted"]


@pytest.mark.parametrize("change", [pipe, link_out])
def test_a_lock_that_is_no_file_locks_nothing(change: Callable[[Path], None], tmp_path: Path) -> None:
    """A comparison would wait for the other end of a pipe, and show what a link leads to."""
    run = write_run(tmp_path / "runs" / "bad", [], "running")
    change(run.path / ".lock")
    assert load_runs(tmp_path / "runs")["status"].tolist() == ["interrupted"]
    assert holder(run) == "another process"


def test_a_folder_of_links_is_not_read_either(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "bad", [])
    run.hydra.rename(tmp_path / "elsewhere")
    run.hydra.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match="is a link to"):
        load_runs(tmp_path / "runs")


def test_a_link_within_the_run_and_a_run_behind_a_link_are_read(tmp_path: Path) -> None:
    run = write_run(tmp_path / "real", [], "finished")
    run.summary.rename(run.path / "real.json")
    run.summary.symlink_to("real.json")
    (tmp_path / "latest").symlink_to(run.path)
    assert load_runs(tmp_path / "latest")["status"].tolist() == ["finished"]
    check_files(tmp_path / "latest", "resume")


@pytest.mark.parametrize(("change", "reason"), [(link_out, "is a link to"), (pipe, "a pipe")])
def test_a_command_that_writes_refuses_the_run(change: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [])
    place = run.tensorboard / "labels.tsv"
    place.parent.mkdir(parents=True)
    change(place)
    with pytest.raises(UserError, match=rf"resume={run}: .*labels.tsv: .*{reason}"):
        check_files(run.path, "resume")


@pytest.mark.parametrize("start", ["a: &a [x]\nb: *a", "a: &a {b: *a}", "a: &a {}\nb: {<<: *a}"])
def test_yaml_with_aliases_is_refused(start: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(start)
    with pytest.raises(yaml.YAMLError, match="aliases"):
        read_yaml(tmp_path / "x.yaml", tmp_path)
    (tmp_path / "x.yaml").write_text("a: '*b'\nc: 2 * 3")
    assert read_yaml(tmp_path / "x.yaml", tmp_path) == {"a": "*b", "c": "2 * 3"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("!!bool maybe", "tags"),
        ("!!timestamp foo", "tags"),
        ('!!int ""', "tags"),
        ("1" + ":1" * 400_000, "numbers to the base 60"),
        ("-0_1" + ":59" * 400 + ".0", "numbers to the base 60"),
    ],
)
def test_yaml_that_python_cannot_read_or_not_in_time_is_refused(value: str, reason: str, tmp_path: Path) -> None:
    """A comparison ended in a traceback, or took a minute."""
    good, bad = (write_run(tmp_path / "runs" / name, ["kl=tc"], "finished") for name in ("good", "bad"))
    for path, start in ((bad.config, "x: "), (bad.overrides, "- ")):
        path.write_text(start + value)
        with pytest.raises(yaml.YAMLError, match=reason):
            read_yaml(path, bad.path)
    assert load_runs(tmp_path / "runs")["run"].tolist() == [str(bad), str(good)]
    bad.config.write_text(f"a: '{value[:200]}'\nb: 1:1:1")  # quoted, it is text, and three parts are a time
    assert read_yaml(bad.config, bad.path) == {"a": value[:200], "b": 3661}


def test_the_limits_are_those_that_are_stated(tmp_path: Path) -> None:
    for suffix in (".yaml", ".json", ".png"):
        path = tmp_path / f"x{suffix}"
        path.write_text("1")
        os.truncate(path, LIMITS[suffix])
        read_text(path, tmp_path)
        os.truncate(path, LIMITS[suffix] + 1)
        with pytest.raises(RefusedFileError, match=re.escape(suffix)):
            read_text(path, tmp_path)


def test_a_history_that_is_not_read_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    enlarge(path)
    with pytest.raises(UserError, match=r"history.csv: has 8,192 MiB"):
        HistoryWriter(path, 10)
    assert path.stat().st_size == 8 * GIBIBYTE


def test_a_link_in_the_place_of_a_temporary_file_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / f".summary-{os.getpid()}.json").symlink_to(outside)
    write_json(tmp_path / "summary.json", {"a": 1})
    assert outside.read_text() == "mine"
    assert (tmp_path / "summary.json").read_text() == '{\n  "a": 1\n}\n'


@pytest.mark.parametrize("name", ["config", "overrides", "evaluation"])
def test_more_than_a_run_has_is_not_read(name: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [])
    content = {
        "config": "".join(f"a{number}: 1\n" for number in range(1001)),
        "overrides": "".join(f"- a{number}=1\n" for number in range(1001)),
        "evaluation": json.dumps({f"a{number}": 1 for number in range(1001)}),
    }
    getattr(run, name).write_text(content[name])
    with pytest.warns(UserWarning, match="1001 (options|overrides|quantities)"):
        table = load_runs(tmp_path)
    assert not [column for column in table if column.startswith(("option/", "evaluation/"))]
    assert table["overrides"].tolist() == [()]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("epoch\n" + "1\n" * 1_000_001, "1,000,001 rows, and at most 1,000,000"),
        ("a," * 20_000 + "\n", "20,001 columns, and at most 20,000"),
        ("a" * 2**20 + "b\n", "1,048,577 bytes of names, and at most 1,048,576"),
        (
            ",".join(map(str, range(1001))) + "\n" + ("," * 1000 + "\n") * 25_000,
            "25,025,000 cells, and at most 25,000,000",
        ),
    ],
    ids=["rows", "columns", "names", "cells"],
)
def test_a_history_larger_than_any_of_a_run_is_not_read(text: str, reason: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [], "finished")
    run.history.write_text(text)
    with pytest.warns(UserWarning, match=rf"history.csv: has {reason} are read; it is not read"):
        table = load_runs(tmp_path)
    assert table["status"].tolist() == ["finished"]
    assert "epoch" not in table
    with pytest.raises(UserError, match=reason):
        HistoryWriter(run.history)


def test_the_history_of_thousands_of_latent_variables_is_read(tmp_path: Path) -> None:
    names = ["epoch", *(f"audit/{name}/{number}" for name in ("kl_per_latent", "active") for number in range(2000))]
    run = write_run(tmp_path / "run", [])
    run.history.write_text(",".join(names) + "\n" + ("0.5," * 4000 + "1\n") * 3)
    table = load_runs(tmp_path)
    assert table[names].shape == (3, 4001)
    assert table[names].notna().all(axis=None)


@pytest.mark.parametrize(("largest", "epochs"), [("rows", 1), ("columns", 3)])
def test_two_histories_do_not_multiply_to_a_table_beyond_memory(
    largest: str, epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The larger one is left out, whichever it is: one of many rows, or one of many columns."""
    monkeypatch.setattr(loading, "MOST_CELLS_OF_ALL", 10_000)
    histories = {
        "rows": "epoch\n" + "1\n" * 100,
        "columns": ",".join(["epoch", *map(str, range(200))]) + "\n" + ("1" + "," * 200 + "\n") * epochs,
        "usual": "epoch,step\n1,10\n2,20\n",
    }
    for name, text in histories.items():
        write_run(tmp_path / name, []).history.write_text(text)
    with pytest.warns(UserWarning, match="more than 10,000 cells; 1 histories are not read"):
        table = load_runs(tmp_path)
    counts = table.groupby(table["run"].map(lambda run: Path(run).name))["epoch"].count()
    assert counts.to_dict() == {"rows": 100, "columns": epochs, "usual": 2, largest: 0}


@pytest.mark.parametrize(("name", "prefix"), [("config", "option"), ("evaluation", "evaluation")])
def test_the_names_of_all_runs_together_are_bounded(name: str, prefix: str, tmp_path: Path) -> None:
    """Those of usual runs are read, wherever their names are in the order."""
    for number, count in enumerate([1000, 1000, 2, 1000, 2]):
        own = f"a{number}_" if count > 2 else ""
        write_run(tmp_path / str(number), [])
        content = json.dumps({f"{own}{place}": place for place in range(count)}, indent=0)  # which is YAML as well
        getattr(RunDirectory(tmp_path / str(number)), name).write_text(content)
    with pytest.warns(UserWarning, match=f"3,000 different columns {prefix}/... in all; those of 1 runs"):
        table = load_runs(tmp_path)
    found = [column for column in table if column.startswith(f"{prefix}/")]
    assert table[found].notna().sum(axis=1).tolist() == [1000, 1000, 2, 0, 2]


def make_deep(path: Path, depth: int) -> Path:
    """Make folders below each other. A thousand, which Python 3.11 cannot search, pytest could not remove either."""
    path.joinpath(*["d"] * depth).mkdir(parents=True)
    return path


def test_folders_are_not_searched_to_any_depth(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [], "finished")
    make_deep(tmp_path / "deep", 101)
    with pytest.warns(UserWarning, match=r"deep(/d){99}: has folders more than 100 deep; they are not searched"):
        assert load_runs(tmp_path)["status"].tolist() == ["finished"]


def test_a_command_that_writes_refuses_deep_folders(tmp_path: Path) -> None:
    check_files(make_deep(tmp_path / "allowed", 100), "resume")
    path = make_deep(tmp_path / "deep", 101)
    with pytest.raises(UserError, match=rf"resume={path}: {path}(/d){{100}}: has folders more than 100 deep"):
        check_files(path, "resume")


def test_text_of_a_run_is_printable(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", ["kl=\x1b]0;x\x07", f"model={'x' * 5000}"])
    run.config.write_text(yaml.safe_dump({"kl": {"\x1b[2J": "\u202e\n", "big": 10**400}}))
    run.summary.write_text('{"status": "\\u001b[31m", "effective_beta": 1' + "0" * 400 + "}")
    run.history.write_text("epoch,audit/gap/\x1b[2J\n1,1\n")
    table = load_runs(tmp_path)
    (row,) = table.to_dict("records")
    texts = [*map(str, table.columns), *row["overrides"], *(text for text in row.values() if isinstance(text, str))]
    assert all(text.isprintable() and len(text) <= 1000 for text in texts if text != row["run"])
    assert row["status"] == r"\x1b[31m"
    assert row[r"option/kl.\x1b[2J"] == r"\u202e\n"
    assert row["effective_beta"] != row["effective_beta"]  # NaN


@pytest.mark.parametrize(
    ("text", "expected"), [("kl=ä →", "kl=ä →"), ("\x1b[2J\n", r"\x1b[2J\n"), ("\udcff", r"\udcff")]
)
def test_a_line_is_shown_without_control_characters(text: str, expected: str) -> None:
    assert printable(text) == expected
    assert str(UserError(text)) == expected
