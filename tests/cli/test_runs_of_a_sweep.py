"""The output and the record of every run in a sweep, and the metrics that a search minimizes or maximizes."""

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig

from tests.cli.sweep_config import EXTRA, PLUGINS, sweep_config
from tests.reading import summary_of
from vae.cli.sweeps import contained_failure, failures, start_search
from vae.errors import NonFiniteError, UserError
from vae.runs.files import write_json
from vae.runs.lock import LockedError, locked

EPOCHS = "epoch 3/5  ELBO -30\nepoch 4/5  ELBO -29\n"


@pytest.fixture(params=["basic", "joblib"])
def launcher(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param != "basic":
        pytest.importorskip(PLUGINS[request.param], reason=EXTRA)
    previous = HydraConfig.instance().cfg
    with sweep_config(["seed=0,1", f"hydra/launcher={request.param}"]) as config:
        HydraConfig.instance().set_config(config)
        yield request.param
    HydraConfig.instance().cfg = previous


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("latent.size=0: must be larger"), "latent.size=0: must be larger"),
        (ValueError("it is over\nat a second line"), "ValueError: it is over at a second line; the traceback is in"),
        (OSError(28, "No space left on device", "a/file"), "No space left on device"),
    ],
    ids=["a mistake", "unexpected", "a full disk"],
)
def test_a_failure_is_recorded_and_ends_no_other_run(
    error: Exception, message: str, launcher: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake is printed at the end of the sweep, with `failures`."""
    with contained_failure(tmp_path):
        raise error
    summary = summary_of(tmp_path)
    assert summary["status"] == "failed"
    assert message in summary["error"]
    out, err = capsys.readouterr()
    assert out == f"{tmp_path.name}  failed  no epoch\n"
    label = f"{tmp_path.name}  " if launcher == "joblib" else ""
    assert err == ("" if isinstance(error, UserError) else f"{label}{tmp_path}: {summary['error']}\n")
    assert failures([tmp_path]) == [f"{tmp_path}: {summary['error'].splitlines()[0]}"]


def test_what_the_run_has_recorded_of_its_end_stays(launcher: str, tmp_path: Path) -> None:
    with contained_failure(tmp_path):
        write_json(tmp_path / "summary.json", {"status": "diverged", "error": "kl became NaN"})
        raise NonFiniteError("kl became NaN or infinite in training step 3")
    assert summary_of(tmp_path) == {"status": "diverged", "error": "kl became NaN"}


def test_a_directory_that_another_process_has_is_left_alone(launcher: str, tmp_path: Path) -> None:
    with contained_failure(tmp_path):
        raise LockedError("another process writes to it")
    assert not list(tmp_path.iterdir())
    with locked(tmp_path):
        (line,) = failures([tmp_path])
    assert line.startswith(f"{tmp_path}: process ")
    assert line.endswith("still writes to it")
    assert failures([tmp_path]) == [f"{tmp_path}: its process died"]


def test_without_a_terminal_a_run_has_one_line(launcher: str, tmp_path: Path) -> None:
    (shown := io.StringIO()).isatty = lambda: False  # type: ignore[method-assign]
    with redirect_stdout(shown), contained_failure(tmp_path):
        print(EPOCHS, end="")
        write_json(tmp_path / "summary.json", {"status": "finished", "validation": {"elbo": -29.0, "kl": 3.25}})
    assert shown.getvalue() == f"{tmp_path.name}  finished  epochs 3 to 4 of 5  ELBO -29.00  KL 3.25\n"


def test_in_a_terminal_lines_of_runs_side_by_side_have_their_name(launcher: str, tmp_path: Path) -> None:
    (shown := io.StringIO()).isatty = lambda: True  # type: ignore[method-assign]
    with redirect_stdout(shown), contained_failure(tmp_path):
        print(EPOCHS[:20], end="")
        print(EPOCHS[20:], end="", flush=True)
    label = f"{tmp_path.name}  " if launcher == "joblib" else ""
    assert shown.getvalue() == "".join(f"{label}{line}\n" for line in EPOCHS.splitlines())


class TestSearch:
    @pytest.fixture(autouse=True)
    def _here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason=EXTRA)
        monkeypatch.chdir(tmp_path)

    @pytest.mark.parametrize(
        ("metric", "direction"),
        [("kl", "minimize"), ("elbo", "maximize"), ("[elbo,kl]", ["maximize", "minimize"])],
    )
    def test_the_elbo_is_to_be_large_and_everything_else_small(
        self, metric: str, direction: str | list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        options = ["experiment=search", f"metric={metric}", "hydra.sweeper.n_trials=7", "trainer.threads=1"]
        with sweep_config(options) as config:
            start_search(config)
        assert config.hydra.sweeper.direction == direction
        assert capsys.readouterr().out == "runs: 7, threads per run: 1\n"

    def test_it_starts_from_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "sweep" / "run").mkdir(parents=True)
        with (
            sweep_config(["experiment=search"]) as config,
            pytest.raises(UserError, match=r"hydra\.sweep\.dir=sweep: is not empty"),
        ):
            start_search(config)
