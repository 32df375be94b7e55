"""history.csv: written row by row, and read whatever its state."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae.runs.history import HistoryWriter, read_history, read_history_columns


def write_three_epochs(path: Path) -> None:
    history = HistoryWriter(path)
    for epoch in (1, 2, 3):
        history.append({"epoch": epoch, "step": 10 * epoch, "seconds": 1.5 * epoch, "train/elbo": -epoch})


@pytest.mark.parametrize("steps", [20, 29])
def test_a_resumed_run_keeps_the_rows_up_to_its_step(steps: int, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    write_three_epochs(path)
    resumed = HistoryWriter(path, steps)
    assert [(row["epoch"], row["seconds"]) for row in resumed.kept] == [(1, 1.5), (2, 3.0)]
    resumed.append({"epoch": 3, "step": 30, "seconds": 5.0, "train/elbo": -3, "validation/elbo": -4})
    assert path.read_text().splitlines() == [
        "epoch,step,seconds,train/elbo,validation/elbo",
        "1,10,1.5,-1.0,",
        "2,20,3.0,-2.0,",
        "3,30,5.0,-3,-4",
    ]


def test_rows_without_a_number_of_the_epoch_or_step_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,step,seconds\nnan,10,1.0\n2,inf,2.0\n3,,3.0\n4,40,4.0\n")
    assert [row["epoch"] for row in HistoryWriter(path, 40).kept] == [4]


def test_a_run_that_starts_again_replaces_the_history(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    write_three_epochs(path)
    HistoryWriter(path).append({"epoch": 1, "step": 10, "seconds": 1.0})
    assert read_history(path) == [{"epoch": 1.0, "step": 10.0, "seconds": 1.0}]


def test_the_reader_takes_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,a,b\n1,x,\n2,-inf,0.5\n3,1")
    first, second = read_history(path)
    assert (first["epoch"], second) == (1.0, {"epoch": 2.0, "a": -np.inf, "b": 0.5})
    assert np.isnan(first["a"])
    assert "b" not in first


def test_a_row_without_its_end_is_left_out(tmp_path: Path) -> None:
    """A full disk cut the last number, 0.25, so that it looks whole."""
    path = tmp_path / "history.csv"
    path.write_text("epoch,step,a\n1,10,0.5\n2,20,0.2")
    assert read_history(path) == [{"epoch": 1.0, "step": 10.0, "a": 0.5}]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00epoch", b"", b"epoch"])
def test_a_damaged_history_has_no_rows(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_bytes(content)
    assert read_history(tmp_path / "history.csv") == []
    assert read_history(tmp_path / "missing.csv") == []


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("wanted", [["a"], ["epoch", "c, d"], None], ids=str)
def test_columns_are_those_of_another_reader(newline: str, wanted: list[str] | None, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(newline.join(['epoch,a,"c, d"', "1,0.1,", "2,,-inf", "", "3,\xff,1e-3", ""]).encode("latin-1"))
    names, values = read_history_columns(path, None if wanted is None else wanted.__contains__)
    expected = pd.read_csv(path, encoding="latin-1").apply(pd.to_numeric, errors="coerce")
    assert names == [name for name in expected if wanted is None or name in wanted]
    np.testing.assert_array_equal(values, expected[names])


def test_the_choice_of_columns_is_asked_each_time(tmp_path: Path) -> None:
    path, wanted = tmp_path / "history.csv", {"epoch"}
    write_three_epochs(path)
    assert read_history_columns(path, wanted.__contains__)[0] == ["epoch"]
    wanted.add("step")
    assert read_history_columns(path, wanted.__contains__)[0] == ["epoch", "step"]


def test_an_empty_cell_at_the_end_of_a_row_is_left_out(tmp_path: Path) -> None:
    HistoryWriter(tmp_path / "history.csv").append({"epoch": 1, "step": 10, "a": np.nan})
    assert read_history(tmp_path / "history.csv") == [{"epoch": 1.0, "step": 10.0}]


@given(st.lists(st.tuples(st.floats(), st.floats()), min_size=1))
@settings(deadline=None)
def test_every_number_is_read_to_its_last_bit(rows: list[tuple[float, float]]) -> None:
    """Another parser than Python's own reads the columns: rounded otherwise, two runs that are equal would differ."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "history.csv")
        path.write_text("a,b\n" + "".join(f"{a!r},{b!r}\n" for a, b in rows))
        _, values = read_history_columns(path)
    np.testing.assert_array_equal(values, np.array(rows))
