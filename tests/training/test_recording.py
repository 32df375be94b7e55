"""How a run ends, and that its files are whole or not there."""

import json
from pathlib import Path

import pytest

from vae.distributed.strategies import WorkerLostError
from vae.errors import UserError
from vae.runs.files import replaced, write_json
from vae.training.checkpoints import checkpoints
from vae.training.record import History, NonFiniteError, RunRecord


def status_of(directory: Path) -> dict[str, object]:
    summary: dict[str, object] = json.loads((directory / "summary.json").read_text())
    return summary


def test_running_inside_and_finished_after(tmp_path: Path) -> None:
    with RunRecord(tmp_path, seed=1, kl="analytic") as record:
        assert status_of(tmp_path)["status"] == "running"
        record.update(epochs=2)
    assert status_of(tmp_path)["status"] == "finished"
    assert (status_of(tmp_path)["epochs"], status_of(tmp_path)["seed"]) == (2, 1)


ENDS = [
    (KeyboardInterrupt(), SystemExit, "interrupted", "130"),
    (NonFiniteError("train/loss became nan in epoch 3"), NonFiniteError, "diverged", "train/loss became nan"),
    (RuntimeError("a callback of the user's"), RuntimeError, "failed", "a callback of the user's"),
    (OSError(28, "No space left on device"), UserError, "failed", "cannot be written (No space left on device)"),
    (WorkerLostError("another worker ended"), UserError, "interrupted", "on all workers: python train.py resume="),
]


@pytest.mark.parametrize(("error", "raised", "status", "words"), ENDS)
def test_every_other_end(
    error: BaseException, raised: type[BaseException], status: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(raised) as caught, RunRecord(tmp_path, seed=0, kl="backend"):
        raise error
    assert status_of(tmp_path)["status"] == status
    assert words in str(caught.value)


def test_a_worker_that_is_not_the_chief_writes_nothing(tmp_path: Path) -> None:
    with RunRecord(tmp_path, writes=False, seed=0, kl="backend") as record:
        record.update(epochs=3)
    assert not list(tmp_path.iterdir())


def test_history_keeps_the_rows_before_a_resumed_epoch(tmp_path: Path) -> None:
    history = History(tmp_path / "history.csv")
    for epoch in (1, 2, 3):
        history.append({"epoch": epoch, "step": 10 * epoch, "seconds": 1.5 * epoch, "train/elbo": -epoch})
    resumed = History(tmp_path / "history.csv", epochs=2)
    assert resumed.seconds == 3.0
    resumed.append({"epoch": 3, "step": 30, "seconds": 5.0, "train/elbo": -3, "validation/elbo": -4})
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines == [
        "epoch,step,seconds,train/elbo,validation/elbo",
        "1,10,1.5,-1.0,",
        "2,20,3.0,-2.0,",
        "3,30,5.0,-3,-4",
    ]


def write_half_and_fail(path: Path) -> None:
    path.write_text("half")
    raise TypeError


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"value": 1.0, "list": [1, float("nan")], "nested": {"inf": float("inf")}})
    assert json.loads(path.read_text()) == {"value": 1.0, "list": [1, None], "nested": {"inf": None}}
    with pytest.raises(TypeError), replaced(path) as temporary:
        write_half_and_fail(temporary)
    assert json.loads(path.read_text())["value"] == 1.0
    assert [file.name for file in tmp_path.iterdir()] == ["summary.json"]


def test_checkpoints_are_ordered_by_step_not_by_name(tmp_path: Path) -> None:
    names = ["step-100000000.keras", "step-99999999.keras", "step-00000020.keras"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in checkpoints(tmp_path)] == names
