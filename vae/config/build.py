"""The objects that a configuration describes. TensorFlow is loaded when the first of them is built."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from vae import compat
from vae.config.agreement import check_likelihood, check_memory, check_shape
from vae.config.nodes import build as build
from vae.config.nodes import import_classes as import_classes
from vae.config.nodes import in_one_line
from vae.config.signatures import options_of
from vae.config.stored import plain
from vae.errors import UserError, first_line
from vae.runs.identity import flatten
from vae.training.options import TrainingOptions

if TYPE_CHECKING:
    import keras

    from vae.data import DataSource
    from vae.kl import KLRegularizer
    from vae.latents import LatentFamily
    from vae.model import VAE
    from vae.networks import ImageShape, Networks

_GROUPS_OF_MODEL = ("data", "model", "latent", "prior", "likelihood", "beta")
_HYPERPARAMETERS = (
    *(f"{group}." for group in ("kl", "beta", "latent", "prior", "objective", "model", "likelihood")),
    *("optimizer.", "trainer.", "data.binarization", "seed"),
)


def build_options(config: DictConfig) -> TrainingOptions:
    """Return the options of the training."""
    return TrainingOptions(**plain(config)["trainer"])


def build_data(config: DictConfig) -> "DataSource":
    """Return the data set.

    Raises:
        UserError: if it cannot be read, has fewer training images than a batch, or images of several shapes.
    """
    data: DataSource = build("data", config.data)
    batch_size, count = config.trainer.batch_size, data.size("train")
    if batch_size > count:
        taken = f" (data.take={config.data.take})" if config.data.get("take") else ""
        raise UserError(f"trainer.batch_size={batch_size}: is more than {count}, the number of training images{taken}")
    check_shape(data, "validation", data.image_shape)
    _ = data.weights  # read now, so that a bad file stops the run before it is recorded
    return data


def build_model(config: DictConfig, data: "DataSource", choices: Mapping[str, str] | None = None) -> "VAE":
    """Return the compiled model, its decoder starting at the mean of the training images.

    Args:
        config: the composed configuration.
        data: the data set.
        choices: the option that was chosen of each group, for messages.

    Raises:
        UserError: if a part cannot be built, or parts do not go together.
    """
    import keras

    from vae.model import VAE
    from vae.networks import set_output_bias

    keras.config.set_dtype_policy(_policy(config))
    facts = facts_of(config, data)
    latent, networks = (build(name, config[name], **facts) for name in ("latent", "model"))
    has_levels = "levels" in options_of(str(config.likelihood._target_))  # the data are read through for nobody else
    likelihood = build("likelihood", config.likelihood, **facts, **({"levels": data.grey_levels} if has_levels else {}))
    check_likelihood(likelihood, data)
    encoder, decoder = _build_networks(config, networks, latent, data.image_shape)
    set_output_bias(decoder, likelihood.initial_parameters(data.mean_image()))
    schedule = {name: value for name, value in config.beta.items() if name != "value"}
    model = VAE(
        encoder,
        decoder,
        latent,
        likelihood,
        build("kl", config.kl, **facts),
        config.beta.value,
        config.seed,
        schedule=build("beta", schedule, **facts) if schedule else None,
        objective=build("objective", config.objective, **facts),
        prior=build("prior", config.prior, **facts),
    )
    names = {name: _name_of(config[name]) for name in ("kl", "latent", "prior")} | {**(choices or {})}
    _check_together(model, ", ".join(f"{name}={names[name]}" for name in ("kl", "latent", "prior")))
    model.compile(build_optimizer(config, data))
    return model


def build_optimizer(config: DictConfig, data: "DataSource") -> "keras.optimizers.Optimizer":
    """Return the optimizer, with a scaled loss for a model in float16.

    Raises:
        UserError: if it cannot be built, or fails in a step; options that have no default may be of any type.
    """
    import keras

    facts = facts_of(config, data)
    optimizer = build("optimizer", config.optimizer, **facts)
    try:
        _try_step(config.optimizer, facts)
    except Exception as error:  # whatever the options make of Keras
        raise UserError(f"optimizer: {type(optimizer).__name__} fails in a step ({in_one_line(error)})") from error
    return keras.optimizers.LossScaleOptimizer(optimizer) if config.trainer.precision == "float16" else optimizer


def _try_step(options: DictConfig, facts: Mapping[str, int]) -> None:
    """Take a step of an optimizer with these options on weights of two shapes, in a graph that nobody runs."""
    import keras
    import tensorflow as tf

    with compat.without_weights():
        optimizer = build("optimizer", options, **facts)
        weights = [keras.Variable(tf.zeros(shape)) for shape in ((5,), (2, 3))]
        optimizer.build(weights)
        optimizer.scale_loss(tf.zeros(()))
        optimizer.apply([tf.zeros_like(weight) for weight in weights], weights)


def check_networks(model: "VAE", config: DictConfig, place: str) -> None:
    """Compare the networks of a saved model with those of the configuration, unless a user's class builds them.

    Args:
        model: the saved model.
        config: the configuration of its run.
        place: the option that named the run, with the run.

    Raises:
        UserError: if it has others, which may fail in any way, or the configuration describes none.
    """
    import keras

    target = OmegaConf.select(config, "model._target_")
    if target is not None and not str(target).startswith("vae."):
        return
    shape, latent, policy = model.encoder.input_shape[1:], model.latent, keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(_policy(config))
        networks = build("model", config.model)
        with compat.without_weights():
            expected = networks.encoder(shape, latent.parameter_count), networks.decoder(latent.z_size, shape)
    except Exception as error:  # whatever a damaged configuration makes of Keras
        raise UserError(f"{place}: its configuration describes no networks ({first_line(error)})") from None
    finally:
        keras.config.set_dtype_policy(policy)
    if [*map(_structure, expected)] != [_structure(model.encoder), _structure(model.decoder)]:
        raise UserError(f"{place}: its model has other networks than its configuration, model={_name_of(config.model)}")


def _structure(network: "keras.Model") -> list[Any]:
    """Return the layers of a network and how they are connected, each by its place and not by its name."""
    places = {layer.name: place for place, layer in enumerate(network.layers)}

    def placed(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: placed(value) for name, value in node.items()}
        if isinstance(node, list | tuple):
            return [placed(value) for value in node]
        return places.get(node, node) if isinstance(node, str) else node

    return placed(network.get_config())


def _policy(config: DictConfig) -> str:
    precision = str(config.trainer.precision)
    return precision if precision == "float32" else f"mixed_{precision}"


def _build_networks(
    config: DictConfig, networks: "Networks", latent: "LatentFamily", image_shape: "ImageShape"
) -> "tuple[keras.Model, keras.Model]":
    def built() -> "tuple[keras.Model, keras.Model]":
        return networks.encoder(image_shape, latent.parameter_count), networks.decoder(latent.z_size, image_shape)

    try:
        with compat.without_weights():
            weights = sum(network.count_params() for network in built())
        options = {group: plain(config[group]) for group in ("latent", "model")}
        check_memory(weights, {**options, "data": {"shape": list(image_shape)}})
        return built()
    except UserError:
        raise
    except Exception as error:  # a class of the user's may fail in any way
        raise UserError(f"model: {in_one_line(error)}") from error


def build_audit(config: DictConfig, data: "DataSource") -> "dict[str, KLRegularizer]":
    """Return the regularizers of the group `audit` by name."""
    facts = facts_of(config, data)
    return {str(name): build(f"audit.{name}", node, **facts) for name, node in config.audit.items()}


def build_callbacks(config: DictConfig) -> list[Any]:
    """Return the Keras callbacks of the group `callbacks`."""
    return [build(f"callbacks.{name}", node) for name, node in config.callbacks.items()]


def facts_of(config: DictConfig, data: "DataSource") -> dict[str, int]:
    """Return the arguments that a class takes from the data if the user gives none."""
    count = data.size("train")
    return {"dataset_size": count, "steps_per_epoch": build_options(config).steps_per_epoch(count)}


def hyperparameters(config: DictConfig, choices: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """Return what tells runs apart: the options of the main groups and their values, as TensorBoard's HParams takes it.

    Args:
        config: the composed configuration.
        choices: the option that was chosen of each group; in the place of one that was written out, its class.
    """
    values = {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in flatten(plain(config)).items()
        if name.startswith(_HYPERPARAMETERS) and not name.endswith("_target_")
    }
    chosen = {group: str(choices.get(group) or _name_of(config[group])) for group in _GROUPS_OF_MODEL}
    return {"kl": kl_name(config, choices), **chosen, **values}


def kl_name(config: DictConfig, choices: Mapping[str, Any]) -> str:
    """Return the name of the trained regularizer in files: the option of the group, or a user's class."""
    target = str(config.kl._target_)
    return str(choices.get("kl") or _name_of(config.kl)) if target.startswith("vae.") else target


def _name_of(node: DictConfig) -> str:
    return str(node.get("_target_", "constant")).rpartition(".")[2]  # of beta alone, without a schedule


def _check_together(model: "VAE", chosen: str) -> None:
    """Compute the objective once on artificial posteriors, so that parts that do not go together are found at once."""
    from vae.kl.base import check_signature
    from vae.random import Stream, key

    check_signature(model.kl)
    posterior, prior = model.latent.probe(2, 1.0), model.prior_distribution()
    try:
        term = model.objective.term(
            model.kl, posterior, prior, posterior.mean, key=key(model.seed, Stream.PROBE, 0), step=0
        )
    except UserError as error:
        raise UserError(f"{chosen} do not go together: {error}") from None
    except Exception as error:  # a class of the user's may fail in any way
        reason = f"{type(error).__name__}: {in_one_line(error)[:200]}"
        raise UserError(f"{chosen}: {type(model.kl).__name__} failed ({reason})") from error
    if getattr(term, "shape", None) != ():
        shape = getattr(term, "shape", type(term).__name__)
        raise UserError(f"{chosen}: {type(model.kl).__name__} must return a scalar, not {shape}")
