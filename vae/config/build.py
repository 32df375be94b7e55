"""The objects that a configuration describes. TensorFlow is loaded here, when the first of them is built."""

from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from vae.config.check import flat, plain
from vae.errors import UserError

if TYPE_CHECKING:
    from vae.data import ImageSource
    from vae.model import VAE


def build_source(config: DictConfig) -> "ImageSource":
    """The data set that a run's configuration names."""
    options = {name: value for name, value in plain(config.data).items() if name != "binarization"}
    source: ImageSource = _instantiate(options, "data")
    batch_size, count = config.trainer.batch_size, source.size("train")
    if batch_size > count:
        raise UserError(f"trainer.batch_size={batch_size}: there are only {count} training images")
    return source


def build_model(config: DictConfig, source: "ImageSource") -> "VAE":
    """The compiled model that a run's configuration describes, its decoder starting at the training images' mean."""
    import keras

    from vae.model import VAE
    from vae.networks import set_output_bias

    precision = config.trainer.precision
    keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
    latent = _instantiate(config.latent, "latent")
    likelihood = _instantiate(config.likelihood, "likelihood")
    networks = _instantiate(config.model, "model")
    try:
        encoder = networks.encoder(source.image_shape, latent.parameter_count)
        decoder = networks.decoder(latent.size, source.image_shape)
    except ValueError as error:
        raise UserError(f"model: {str(error).splitlines()[0]}") from error
    set_output_bias(decoder, likelihood.initial_parameters(source.mean_image()))
    model = VAE(encoder, decoder, latent, likelihood, build_kl(config.kl), config.beta.value, config.seed)
    optimizer = _instantiate(config.optimizer, "optimizer")
    model.compile(keras.optimizers.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer)
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


def build_audit(config: DictConfig) -> dict[str, Any]:
    """The regularizers of the group `audit`, by name."""
    return {str(name): build_kl(node, f"audit.{name}") for name, node in config.audit.items()}


def build_callbacks(config: DictConfig) -> list[Any]:
    """The further Keras callbacks of the group `callbacks`."""
    return [_instantiate(node, f"callbacks.{name}") for name, node in config.callbacks.items()]


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


def _instantiate(node: Any, option: str) -> Any:
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"{option}: {reason}") from error
