"""The command line as Hydra is to see it."""

from pathlib import Path

import pytest
import yaml

from vae.cli.arguments import named_modules, prepared
from vae.errors import UserError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["kl=backend", "kl.points=8"], ["kl=backend", "kl.points=8"]),
        (["kl._target_=my_module.MyKL"], ["kl=my_module.MyKL"]),
        (["kl._target_=my_module.MyKL,other.KL"], ["kl=my_module.MyKL,other.KL"]),
        (["kl=backend", "kl._target_=my_module.MyKL"], ["kl=backend", "kl._target_=my_module.MyKL"]),
        (["+kl.alpha=2"], ["++kl.alpha=2"]),
        (["optimizer.clipnorm=1"], ["++optimizer.clipnorm=1"]),
        (["optimizer.learning_rate=0.1"], ["optimizer.learning_rate=0.1"]),
        (["+kl@audit.narrow=backend"], ["+kl@audit.narrow=backend"]),
        (["+experiment=quick"], ["experiment=quick"]),
        (["data.dir=a folder"], ["data.dir='a folder'"]),
        (["data.dir='a folder'"], ["data.dir='a folder'"]),
        (["hydra.run.dir=it's"], ["hydra.run.dir='it\\'s'"]),
        (["--help"], ["--help"]),
        (["kl=backend", "-m", "seed=0,1"], ["-m", "kl=backend", "seed=0,1"]),
    ],
)
def test_short_forms_are_written_out(given: list[str], expected: list[str]) -> None:
    assert prepared(given) == expected


def test_modules_that_the_command_line_names() -> None:
    arguments = ["kl=my_module.MyKL,analytic", "optimizer.learning_rate._target_=other.package.Decay", "data=mnist"]
    assert named_modules(arguments) == {"my_module", "other"}


def write_run(directory: Path, overrides: list[str], **config: object) -> Path:
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    (directory / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    return directory


def test_a_resume_replays_the_overrides_that_it_does_not_give_itself(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", ["kl=backend", "trainer.epochs=5", "+optimizer.clipnorm=1"], seed=0)
    assert prepared([f"resume={run}", "trainer.epochs=9"]) == [
        "kl=backend",
        "++optimizer.clipnorm=1",
        f"hydra.run.dir={run}",
        "hydra.output_subdir=null",
        f"resume={run}",
        "trainer.epochs=9",
    ]


def test_hydra_s_own_options_are_never_replayed_from_a_folder(tmp_path: Path) -> None:
    planted = ["+hydra.callbacks.evil._target_=os.system", "++hydra/launcher=evil", "seed=3"]
    run = write_run(tmp_path / "run", planted, seed=3)
    assert not [argument for argument in prepared([f"resume={run}"]) if "evil" in argument]


def test_a_resume_is_not_for_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"resume=.*single run.*hydra\.sweep\.dir"):
        prepared(["-m", f"resume={write_run(tmp_path / 'run', [])}"])
