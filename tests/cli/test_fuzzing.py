"""Two thousand command lines that are wrong, or may be: each is refused in one line before a run begins, or trains.

They go through the function that the command line calls, in one process. Training itself is left out: a command line
that gets as far has built the data, the model and all that records it.
"""

import gc
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import pytest
from hydra._internal.hydra import Hydra
from hypothesis import HealthCheck, given, settings

from tests.cli import command_lines
from tests.cli.command_lines import CommandLine
from tests.conftest import Outcome, run_here
from vae import training
from vae.cli.errors import printable
from vae.data import ImageSource

KINDS = {  # of strategies, with the number of command lines that each draws
    "settings": (command_lines.SETTINGS, 700),
    "referring": (command_lines.REFERRING, 200),
    "unknown": (command_lines.UNKNOWN, 200),
    "choices": (command_lines.CHOICES, 250),
    "garbage": (command_lines.GARBAGE, 200),
    "pairs": (command_lines.PAIRS, 350),
    "swept": (command_lines.SWEPT, 100),
}
SECONDS = 20  # after which a command line counts as hanging
#: What makes building quick; the line's own arguments come later and so win
COMMON = ["data.take=40", "trainer.batch_size=8", "model.hidden=[8]", "latent.size=4"]


#: A case takes a tenth of a second or, if it builds a model, one: neither is a flaw of the strategies
SLOW = [HealthCheck.too_slow]
SETTINGS = settings(derandomize=True, deadline=None, print_blob=True, database=None, suppress_health_check=SLOW)


class Trains(BaseException):
    """Raised where training would begin. No error handler takes it for an error."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    ImageSource("digits", dir=str(folder))
    return folder


@pytest.fixture
def _without_garbage_collection() -> Iterator[None]:
    """A third of the time would go into searching TensorFlow's objects again and again."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def hanging(*_: Any) -> None:
    raise TimeoutError(f"no end after {SECONDS} seconds")


def outcome_of(line: CommandLine, data: Path, cwd: Path) -> Outcome | None:
    """How a command line ends; None if it trains."""
    arguments = [f"data.dir={data}", "audit=none", *COMMON, *line.arguments]
    with (
        mock.patch.object(training, "fit", side_effect=Trains),
        mock.patch.object(Hydra, "get_mode", return_value=None),  # composes everything a first time, for `hydra.mode`
    ):
        previous = signal.signal(signal.SIGALRM, hanging)
        signal.alarm(SECONDS)
        try:
            return run_here("train.py", *arguments, cwd=cwd)
        except Trains:
            return None
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, previous)


def assert_refused(ended: Outcome, line: CommandLine, cwd: Path) -> None:
    assert ended.status == 2, ended
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith("train.py: ")
    assert "Traceback" not in ended.stderr
    assert any(printable(name) in ended.stderr for name in line.names), (ended.stderr, line)
    assert not list(cwd.iterdir())


@pytest.mark.thorough
@pytest.mark.usefixtures("_without_garbage_collection")
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_refused_in_one_line_or_trains(kind: str, prepared: Path) -> None:
    strategy, count = KINDS[kind]

    @settings(SETTINGS, max_examples=count)
    @given(line=strategy)
    def check(line: CommandLine) -> None:
        with TemporaryDirectory() as folder:
            ended = outcome_of(line, prepared, Path(folder))
            if ended is not None:
                assert_refused(ended, line, Path(folder))

    check()
