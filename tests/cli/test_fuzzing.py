"""Two thousand command lines that are wrong, or may be: each is refused in one line before a run begins, or trains.

They go through the function that the command line calls, in one process. Training itself is left out: a command line
that gets as far has read the data, built the model, the audit and the callbacks, and measured the trained term.
"""

import gc
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.cli import command_lines
from tests.cli.command_lines import CommandLine
from tests.conftest import Outcome, run_here, run_script
from tests.reading import summary_of
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
SECONDS = 120  # after which a command line counts as hanging, on a machine that others use as well
#: What makes building quick; the line's own arguments come later and so win
COMMON = ["data.take=40", "trainer.batch_size=8", "model.hidden=[8]", "latent.size=4"]


#: A case takes a tenth of a second or, if it builds a model, one: neither is a flaw of the strategies
SLOW = [HealthCheck.too_slow]
SETTINGS = settings(
    derandomize=True,
    deadline=None,
    print_blob=True,
    database=None,
    suppress_health_check=SLOW,
    phases=[Phase.generate, Phase.shrink],  # to explain a failure, hypothesis would trace every line
)


class Trains(BaseException):
    """Raised where training would begin. No error handler takes it for an error."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    ImageSource("digits", dir=str(folder))
    return folder


@pytest.fixture
def _without_garbage_collection() -> Iterator[None]:
    """A part of the time would go into searching the objects of composed configurations again and again."""
    gc.disable()
    yield
    gc.enable()


def hanging(*_: Any) -> None:
    raise TimeoutError(f"no end after {SECONDS} seconds")


def arguments_of(line: CommandLine, data: Path) -> list[str]:
    return [f"data.dir={data}", "audit=none", *COMMON, *line.arguments]


def outcome_of(line: CommandLine, data: Path, cwd: Path) -> Outcome | None:
    """How a command line ends; None if it trains."""
    with mock.patch.object(training, "recording_callbacks", side_effect=Trains):
        previous = signal.signal(signal.SIGALRM, hanging)
        signal.alarm(SECONDS)
        try:
            return run_here("train.py", *arguments_of(line, data), cwd=cwd)
        except Trains:
            return None
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, previous)


def assert_refused(ended: Outcome, line: CommandLine, cwd: Path) -> None:
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith("train.py: ")
    assert "traceback" not in ended.stderr.lower()
    names = [*line.names, *(common.partition("=")[0] for common in COMMON)]  # which the line may not go with
    assert any(printable(name) in ended.stderr for name in names), (ended.stderr, line)
    if "-m" in line.arguments and ended.status == 1:  # a run of a sweep that could not be built: the others go on
        assert [summary_of(path.parent)["status"] for path in cwd.rglob("summary.json")] == ["failed"]
        return
    assert ended.status == 2, ended
    assert not list(cwd.iterdir())


def assert_refused_or_trains(line: CommandLine, data: Path) -> None:
    with TemporaryDirectory() as folder:
        ended = outcome_of(line, data, Path(folder))
        if ended is not None:
            assert_refused(ended, line, Path(folder))


@pytest.mark.thorough
@pytest.mark.usefixtures("_without_garbage_collection")
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_refused_in_one_line_or_trains(kind: str, prepared: Path) -> None:
    strategy, count = KINDS[kind]

    @settings(SETTINGS, max_examples=count)
    @given(line=strategy)
    def check(line: CommandLine) -> None:
        assert_refused_or_trains(line, prepared)

    check()


#: Command lines that once ended otherwise: in a traceback, in several lines, without a name, or after a run had begun
ONCE_WRONG = [
    (["--nonsense"], "--nonsense"),
    (["--cfg=nothing"], "--cfg"),
    (["--config-dir=nowhere"], "--config-dir"),
    (["--experimental-rerun=nowhere"], "--experimental-rerun"),
    (["=1"], "=1"),
    (["+trainer=[1,2,3]"], "+trainer"),
    (["images_of=${..}"], "images_of"),
    (["kl=${nothing}"], "kl="),
    (["kl@x=analytic"], "kl@x"),
    (["kl=tc", "kl.information=${nothing}"], "kl.information"),
    (["-m", "audit=default", "audit.histogram.direction=${nothing}"], "audit.histogram.direction"),
    (["data.name=a\nb\u202ec"], "data.name"),
    (["~prior"], "prior"),
    (["~beta.value"], "beta.value"),
    (["~trainer.strategy"], "trainer.strategy"),
    (["beta.value=1e300"], "beta.value"),
    (["trainer.threads=100000"], "trainer.threads"),
    (["optimizer.weight_decay=wide"], "optimizer.weight_decay"),
    (["optimizer.clipnorm=-1"], "optimizer.clipnorm"),
    (["optimizer.loss_scale_factor=wide"], "optimizer"),
    (["optimizer.gradient_accumulation_steps=2.5"], "optimizer"),
    (["callbacks=early_stopping", "callbacks.early_stopping.patience=wide"], "callbacks.early_stopping.patience"),
    (["data.weights=w.npy", "trainer.strategy=mirrored"], "data.weights"),
    (["-m", "trainer.epochs=-1,2"], "trainer.epochs=-1"),
    (["callbacks.x._target_=vae.training.record.EpochRecorder", "callbacks.x.record=null"], "callbacks.x._target_"),
    (["data.shape=[8,8,3]"], "data.shape=[8,8,3]"),
    (["latent.size=1000000", "model.hidden=[1000000]"], "latent.size=1000000"),
    (["model.activation="], "model.activation"),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("arguments", "name"), ONCE_WRONG, ids=lambda case: str(case)[:40])
def test_what_once_ended_otherwise(arguments: list[str], name: str, prepared: Path, tmp_path: Path) -> None:
    line = CommandLine(arguments, [name])
    ended = outcome_of(line, prepared, tmp_path)
    assert ended is not None
    assert_refused(ended, line, tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "arguments",
    [
        ["latent=categorical", "latent.temperature=1"],
        ["optimizer.learning_rate=1"],
        ["kl=tc", "kl.correlation=${seed}", "seed=3"],
        ["+audit.k=${kl}"],
        ["data.dir=${oc.env:VAE_DATA}"],
        ["latent.size=${..seed}", "seed=3"],
    ],
)
def test_what_once_did_not_train(
    arguments: list[str], prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole number for a real one; references, also to what Hydra's grammar would not take."""
    folder = tmp_path / "my (data)"
    folder.mkdir()
    monkeypatch.setenv("VAE_DATA", str(folder))
    assert outcome_of(CommandLine(arguments, []), prepared, tmp_path) is None


@pytest.mark.thorough
def test_a_process_ends_as_the_same_line_in_this_one(prepared: Path, tmp_path: Path) -> None:
    """The first fifteen: it is the same function, but the fuzzing leaves out that Hydra composes everything twice."""
    for arguments, name in ONCE_WRONG[:15]:
        line = CommandLine(arguments, [name])
        ended = run_script("train.py", *arguments_of(line, prepared), cwd=tmp_path)
        assert ended == outcome_of(line, prepared, tmp_path)
        assert_refused(ended, line, tmp_path)
