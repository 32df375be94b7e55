"""The objects that a configuration describes. TensorFlow is loaded here, when the first of them is built."""

import math
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vae.config.check import flat, plain
from vae.errors import UserError

if TYPE_CHECKING:
    from vae.data import DataSource
    from vae.model import VAE


def build_source(config: DictConfig) -> "DataSource":
    """The data set that a run's configuration names."""
    source: DataSource = _instantiate(config.data, "data")
    batch_size, count = config.trainer.batch_size, source.size("train")
    if batch_size > count:
        raise UserError(f"trainer.batch_size={batch_size}: there are only {count} training images")
    return source


def build_model(config: DictConfig, source: "DataSource") -> "VAE":
    """The compiled model that a run's configuration describes, its decoder starting at the training images' mean."""
    import keras

    from vae.model import VAE
    from vae.networks import set_output_bias

    precision = config.trainer.precision
    keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
    steps = math.ceil(source.size("train") / config.trainer.batch_size)
    latent = _instantiate(_in_steps(config.latent, "annealing", steps, "annealing_steps"), "latent")
    likelihood = _instantiate(config.likelihood, "likelihood")
    networks = _instantiate(config.model, "model")
    try:
        encoder = networks.encoder(source.image_shape, latent.parameter_count)
        decoder = networks.decoder(latent.z_size, source.image_shape)
    except ValueError as error:
        raise UserError(f"model: {str(error).splitlines()[0]}") from error
    set_output_bias(decoder, likelihood.initial_parameters(source.mean_image()))
    beta = _in_steps(config.beta, "length", steps)
    model = VAE(
        encoder,
        decoder,
        latent,
        likelihood,
        build_kl(config.kl, examples=source.size("train")),
        beta.pop("value"),
        config.seed,
        schedule=_instantiate(beta, "beta") if beta else None,
        objective=_instantiate(_in_steps(config.objective, "ramp", steps), "objective"),
        prior=_instantiate(config.prior, "prior"),
    )
    _check_together(model)
    optimizer = _instantiate(config.optimizer, "optimizer")
    model.compile(keras.optimizers.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer)
    return model


def build_kl(config: DictConfig, option: str = "kl", examples: int | None = None) -> Any:
    """The regularizer that a node of the configuration names.

    Args:
        config: the node.
        option: what it is called.
        examples: the number of training images, for a regularizer whose `dataset_size` is not given.

    Raises:
        UserError: where there is no such class, it does not take these options or it does not follow the contract.
    """
    from vae.kl import KLRegularizer

    options = _options(config)
    if "dataset_size" in options and options["dataset_size"] is None:
        options["dataset_size"] = examples
    regularizer = _instantiate(options, option)
    if not isinstance(regularizer, KLRegularizer):
        raise UserError(f"{option}._target_={config._target_}: must be a subclass of vae.kl.KLRegularizer")
    return regularizer


def build_audit(config: DictConfig, examples: int | None = None) -> dict[str, Any]:
    """The regularizers of the group `audit`, by name; `examples` as in `build_kl`."""
    return {str(name): build_kl(node, f"audit.{name}", examples) for name, node in config.audit.items()}


def build_callbacks(config: DictConfig) -> list[Any]:
    """The further Keras callbacks of the group `callbacks`."""
    return [_instantiate(node, f"callbacks.{name}") for name, node in config.callbacks.items()]


def hyperparameters(config: DictConfig) -> dict[str, bool | int | float | str]:
    """What runs are told apart by: the choice of the main groups, and the values of the options that matter."""
    choices = HydraConfig.get().runtime.choices
    chosen = {group: str(choices[group]) for group in ("data", "model", "latent", "prior", "likelihood", "beta")}
    told = ("kl.", "beta.", "latent.", "prior.", "objective.", "model.", "likelihood.", "optimizer.", "trainer.")
    values = {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in flat(plain(config)).items()
        if name.startswith((*told, "data.binarization", "seed")) and not name.endswith("_target_")
    }
    return {"kl": kl_name(config), **chosen, **values}


def kl_name(config: DictConfig) -> str:
    """What the trained regularizer is called in files: the group's option, or the class where the user named one."""
    choice = HydraConfig.get().runtime.choices.kl
    target = str(config.kl._target_)
    return str(choice) if target.startswith("vae.") else target


def _options(node: DictConfig) -> dict[str, Any]:
    """What a node holds, its interpolations resolved, in plain containers."""
    container = OmegaConf.to_container(node, resolve=True)
    assert isinstance(container, dict)
    return {str(name): value for name, value in container.items()}


def _in_steps(node: DictConfig, name: str, steps: int, argument: str | None = None) -> dict[str, Any]:
    """A node's options, with a duration that is in epochs of so many steps brought to steps."""
    options = _options(node)
    if (unit := options.pop("unit", None)) is not None:
        options[argument or name] = options.pop(name) * (steps if unit == "epochs" else 1)
    return options


def _check_together(model: "VAE") -> None:
    """Computes the objective once, on made-up posteriors, so that what does not go together is found at once.

    Raises:
        UserError: naming the groups.
    """
    choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    chosen = ", ".join(f"{group}={choices[group]}" for group in ("kl", "latent", "prior") if group in choices)
    posterior = model.latent.probe(2, 1.0)
    prior = model.prior_distribution()
    try:
        term = model.objective.term(model.kl, posterior, prior, posterior.mean, None, 0)
    except UserError as error:
        raise UserError(f"{chosen} do not go together: {error}") from None
    except Exception as error:  # a class of the user's may fail in any way
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{chosen}: {type(model.kl).__name__} failed ({type(error).__name__}: {reason})") from error
    if getattr(term, "shape", None) != ():
        shape = getattr(term, "shape", type(term).__name__)
        raise UserError(f"{chosen}: {type(model.kl).__name__} must return a scalar, not {shape}")


def _instantiate(node: Any, option: str) -> Any:
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"{option}: {reason}") from error
