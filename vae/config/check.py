"""What was composed: as plain values, checked, and held against the run that it resumes."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from vae.config.schema import EvaluateSettings, TrainSettings, validate
from vae.errors import UserError
from vae.runs.files import read_json

DATA_PATHS = {"data.dir", "data.manual_dir", "data.unpacked_dir", "data.weights"}
OmegaConf.register_new_resolver("quotient", lambda number, divisor: number / divisor, replace=True)  # for recipes
#: How a run is computed, not what: another number of threads changes the last bits at most
_MAY_CHANGE = {"metric", "resume", "trainer.threads"}


def train_settings(config: DictConfig) -> TrainSettings:
    """The composed configuration of `train.py`, checked.

    Raises:
        UserError: naming the option that is wrong.
    """
    return validate(TrainSettings, plain(config))


def evaluate_settings(config: DictConfig) -> EvaluateSettings:
    """The composed configuration of `evaluate.py`, checked, with a `run` that is a run.

    Raises:
        UserError: naming the option that is wrong.
    """
    settings = validate(EvaluateSettings, plain(config))
    run_configuration(settings.run, "run")
    return settings


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain containers, interpolations resolved.

    Raises:
        UserError: where a mandatory value is missing.
    """
    ours = OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"])
    try:
        container = OmegaConf.to_container(ours, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key}: must be given, as {error.full_key}=VALUE") from None
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def shared_facts(settings: TrainSettings, checkpoints: Iterable[Path]) -> dict[str, Any]:
    """What must be the same on all workers of a run: every option but the places of data, and the checkpoints seen."""
    options = {name: value for name, value in flat(settings.model_dump()).items() if name not in DATA_PATHS}
    return {**options, "checkpoints": [path.name for path in checkpoints]}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested containers as one level: `{"kl": {"points": 2}}` becomes `{"kl.points": 2}`."""
    leaves: dict[str, Any] = {}
    for key, value in values.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves


def run_configuration(directory: str | Path, option: str) -> DictConfig:
    """The configuration that a run was trained with.

    Raises:
        UserError: where the directory is not a run's; `option` is the one that named it.
    """
    path = Path(directory)
    if not path.is_dir():
        raise UserError(f"{option}={directory}: there is no such directory")
    try:
        config = OmegaConf.load(path / ".hydra" / "config.yaml")
    except FileNotFoundError:
        raise UserError(f"{option}={directory}: is not a run's directory: it has no .hydra/config.yaml") from None
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{option}={directory}: its .hydra/config.yaml is damaged ({reason})") from None
    assert isinstance(config, DictConfig)
    return config


def check_resume(config: DictConfig) -> None:
    """Holds a configuration against that of the run it resumes.

    Raises:
        UserError: naming the options that differ and must not; where the run has its epochs already.
    """
    different = differing(run_configuration(config.resume, "resume"), config)
    if refused := [name for name in different if name != "trainer.epochs"]:
        may = "only trainer.epochs can, and trainer.threads"
        raise UserError(f"resume={config.resume}: {', '.join(refused)} cannot change; {may}")
    summary = run_summary(Path(config.resume))
    if summary.get("status") == "finished" and summary.get("epochs", 0) >= config.trainer.epochs:
        raise UserError(f"resume={config.resume}: has its {summary['epochs']} epochs; give more by trainer.epochs=N")


def differing(before: DictConfig, now: DictConfig) -> list[str]:
    """The names of the options that make a run another one, where two configurations differ in them."""
    values = flat(plain(before)), flat(plain(now))
    names = (values[0] | values[1]).keys() - _MAY_CHANGE
    return sorted(name for name in names if values[0].get(name) != values[1].get(name))


def check_writable(directory: str | Path, option: str) -> None:
    """Writes a little where a run's directory is, or would be made.

    Raises:
        UserError: where that fails; `option` is the one that named the directory.
    """
    path = Path(directory).absolute()
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"0" * 65_536)
    except OSError as error:
        raise UserError(f"{option}={directory}: cannot be written ({error.strerror}); name another folder") from None


def run_summary(directory: Path) -> dict[str, Any]:
    """What a run says of itself; nothing, where that is missing or damaged."""
    return read_json(directory / "summary.json")
