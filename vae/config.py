"""The one module between Hydra and the rest: checks what was composed, builds it, and reports mistakes in one line."""

import contextlib
import difflib
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from vae.errors import UserError
from vae.settings import EvaluateSettings, TrainSettings, validate

if TYPE_CHECKING:
    from vae.data import ImageSource
    from vae.model import VAE

_PATHS = {"resume", "run", "data.dir", "data.manual_dir", "hydra.run.dir", "hydra.sweep.dir"}
_MAY_CHANGE_ON_RESUME = {"resume", "trainer.epochs"}


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


def build_source(config: DictConfig) -> "ImageSource":
    """The data set that a run's configuration names."""
    options = {name: value for name, value in plain(config.data).items() if name != "binarization"}
    source: ImageSource = _instantiate(options, "data")
    if config.trainer.batch_size > len(source.train):
        raise UserError(
            f"trainer.batch_size={config.trainer.batch_size}: there are only {len(source.train)} training images"
        )
    return source


def build_model(config: DictConfig, source: "ImageSource") -> "VAE":
    """The compiled model that a run's configuration describes, its decoder starting at the training images' mean."""
    import numpy as np

    from vae.model import VAE
    from vae.networks import set_output_bias

    latent = _instantiate(config.latent, "latent")
    likelihood = _instantiate(config.likelihood, "likelihood")
    networks = _instantiate(config.model, "model")
    try:
        encoder = networks.encoder(source.image_shape, latent.parameter_count)
        decoder = networks.decoder(latent.size, source.image_shape)
    except ValueError as error:
        raise UserError(f"model: {_first_line(error)}") from error
    mean_image = np.mean(source.train, axis=0, dtype=np.float64) / 255
    set_output_bias(decoder, likelihood.initial_parameters(mean_image.astype(np.float32)))
    model = VAE(encoder, decoder, latent, likelihood, build_kl(config.kl), config.beta.value, config.seed)
    model.compile(_instantiate(config.optimizer, "optimizer"))
    return model


def build_kl(config: DictConfig, option: str = "kl") -> Any:
    """The regularizer that a node of the configuration names.

    Raises:
        UserError: where there is no such class, it does not take these options or it does not follow the contract.
    """
    from vae.kl import KLRegularizer

    regularizer = _instantiate(config, option)
    if not isinstance(regularizer, KLRegularizer):
        raise UserError(f"{option}._target_={config._target_}: must be a subclass of vae.kl.KLRegularizer")
    return regularizer


def build_callbacks(config: DictConfig) -> list[Any]:
    """The further Keras callbacks of the group `callbacks`."""
    return [_instantiate(node, f"callbacks.{name}") for name, node in config.callbacks.items()]


def build_audit(config: DictConfig) -> dict[str, Any]:
    """The regularizers of the group `audit`, by name."""
    return {str(name): build_kl(node, f"audit.{name}") for name, node in config.audit.items()}


def hyperparameters(config: DictConfig) -> dict[str, bool | int | float | str]:
    """What runs are told apart by: the choice of the main groups, and the values of the options that matter."""
    choices = HydraConfig.get().runtime.choices
    chosen = {group: str(choices[group]) for group in ("data", "model", "likelihood")}
    told = ("kl.", "beta.", "latent.", "model.", "likelihood.", "optimizer.", "trainer.", "data.binarization", "seed")
    values = {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in flat(plain(config)).items()
        if name.startswith(told) and not name.endswith("_target_")
    }
    return {"kl": kl_name(config), **chosen, **values}


def kl_name(config: DictConfig) -> str:
    """What the trained regularizer is called in files: the group's option, or the class where the user named one."""
    choice = HydraConfig.get().runtime.choices.kl
    target = str(config.kl._target_)
    return str(choice) if target.startswith("vae.") else target


def run_directory() -> Path:
    """The directory that Hydra made for this run."""
    directory = Path(HydraConfig.get().runtime.output_dir)
    return directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory


def _instantiate(node: Any, option: str) -> Any:
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"{option}: {reason}") from error


class Guard(Callback):
    """Stops a run that cannot be before Hydra writes anything.

    Hydra turns an exception in a callback into a warning; SystemExit it lets through.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks the configuration, and that no earlier run is in the way."""
        HydraConfig.instance().set_config(config)  # hydra.run.dir refers to it
        try:
            if "run" in config:
                evaluate_settings(config)
            elif train_settings(config).resume:
                _check_resume(config)
            elif any((Path(config.hydra.run.dir) / name).exists() for name in (".hydra", "summary.json")):
                raise UserError(
                    f"hydra.run.dir={config.hydra.run.dir}: holds a run already, which is never written over"
                )
        except UserError as error:
            raise SystemExit(f"{config.hydra.job.name}.py: {error}") from None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks that no earlier sweep is in the way."""
        directory = Path(config.hydra.sweep.dir)
        if directory.is_dir() and any(directory.iterdir()):
            raise SystemExit(f"train.py: hydra.sweep.dir={directory}: is not empty, and no run is written over")


@contextlib.contextmanager
def reported(made: Path | None = None) -> Iterator[None]:
    """Around what a script does: the user's mistake ends it in one line.

    Args:
        made: the directory that Hydra made for this run. Where nothing but Hydra's files is in it by then, it goes.
    """
    try:
        yield
    except UserError as error:
        if made is not None and [path.name for path in made.iterdir()] == [".hydra"]:
            shutil.rmtree(made)
            _remove_empty(made.absolute().parents)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise  # Hydra goes on with the sweep and names the run at its end
        sys.exit(f"{HydraConfig.get().job.name}.py: {error}")


def _remove_empty(directories: Iterable[Path]) -> None:
    for directory in directories:
        if directory == Path.cwd() or any(directory.iterdir()):
            return
        directory.rmdir()


def _check_resume(config: DictConfig) -> None:
    before = flat(plain(run_configuration(config.resume, "resume")))
    now = flat(plain(config))
    different = [name for name in before | now if before.get(name) != now.get(name)]
    refused = sorted(set(different) - _MAY_CHANGE_ON_RESUME)
    if refused:
        raise UserError(f"resume={config.resume}: {', '.join(refused)} cannot change; only trainer.epochs can")


def main(task: Callable[[], None]) -> None:
    """Runs a script's Hydra task; a user's mistake ends in one line on stderr and status 1.

    `HYDRA_FULL_ERROR=1` shows the whole traceback instead.
    """
    script = Path(sys.argv[0]).name
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        _prepare_arguments()
        task()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints errors itself, in several lines
    try:
        _prepare_arguments()
        task()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        sys.exit(f"{script}: {_explain(error)}")
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        sys.exit(f"{script}: a group takes one of its options, by name; --help lists them")


def _prepare_arguments() -> None:
    """Quotes paths that Hydra's grammar would not take as they are; replays the overrides of a run to resume."""
    given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    directory = given.get("resume", "null")
    if directory not in ("null", ""):
        run_configuration(directory, "resume")
        overrides = [str(override) for override in OmegaConf.load(Path(directory) / ".hydra" / "overrides.yaml")]
        replayed = [override for override in overrides if override.partition("=")[0] not in {*given, "hydra.run.dir"}]
        sys.argv[1:] = [*replayed, *sys.argv[1:], f"hydra.run.dir={directory}", "hydra.output_subdir=null"]
    sys.argv[1:] = [_quoted(argument) for argument in sys.argv[1:]]


def _quoted(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if name not in _PATHS or not re.search(r"[ '\"=(){}\[\]]", value) or value[0] in "'\"" or "${" in value:
        return argument
    escaped = value.replace("'", "\\'")
    return f"{name}{equals}'{escaped}'"


def _explain(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={option}: there is no such option; choose one of {', '.join(error.options)}"
    if isinstance(error, ConfigCompositionException) and "Could not override" in str(error):
        name = str(error).split("'")[1].split("@")[0]
        near = difflib.get_close_matches(name, _known_options(), n=1, cutoff=0.5)
        return (
            f"{name}: there is no such option here{f'; did you mean {near[0]}?' if near else ''} --help lists them all"
        )
    if isinstance(error, OverrideParseException):
        return f"{error.override}: Hydra's grammar does not take this ({_first_line(error)}); quote it: NAME='VALUE'"
    return _first_line(error)


def _known_options() -> list[str]:
    """Every option and group that the command line as given, without what it overrides, would have."""
    script = Path(sys.argv[0]).resolve()
    configs = script.parent / "configs"
    groups = [argument for argument in sys.argv[1:] if (configs / argument.partition("=")[0]).is_dir()]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(configs), version_base="1.3"):
        try:
            config = compose(script.stem, groups)
        except HydraException:
            config = compose(script.stem)
    container = OmegaConf.to_container(config)
    assert isinstance(container, dict)
    options = {str(key): value for key, value in container.items()}
    return [*options, *flat(options)]


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
