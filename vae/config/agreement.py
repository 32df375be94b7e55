"""Checks that what was chosen goes together. All but the last need no TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vae.config.signatures import is_subclass, options_of
from vae.config.trust import refuse_own_callback
from vae.errors import UserError
from vae.options import shown
from vae.processes import memory

if TYPE_CHECKING:
    from vae.data import DataSource
    from vae.likelihoods import Likelihood

_MOVING_AVERAGES = "keras.callbacks.SwapEMAWeights"
#: Callbacks of Keras that follow a quantity
_MONITORING = [f"keras.callbacks.{name}" for name in ("EarlyStopping", "ModelCheckpoint", "ReduceLROnPlateau")]
#: Callbacks of Keras that call what they are given
_CALLING = [f"keras.callbacks.{name}" for name in ("LearningRateScheduler", "LambdaCallback")]
_BYTES_PER_WEIGHT = 4 * 4  # float32: the weight, its gradient and Adam's two means


def check_binarization(likelihood: str, binarization: str) -> None:
    """Refuse to binarize images for a likelihood of grey levels.

    Args:
        likelihood: the class, such as "vae.likelihoods.DiscretizedLogisticLikelihood".
        binarization: "none", "threshold" or "dynamic".

    Raises:
        UserError: if binarization leaves only two of the levels.
    """
    if binarization != "none" and is_subclass(likelihood, "vae.likelihoods.QuantizedLikelihood"):
        raise _binarized(likelihood.rpartition(".")[2], binarization)


def check_differentiable_draws(latent: str) -> None:
    """Refuse to measure the inference gap of discrete latent variables.

    Args:
        latent: the class, such as "vae.latents.CategoricalLatent".

    Raises:
        UserError: if it has no draws that are differentiable.
    """
    if is_subclass(latent, "vae.latents.discrete.DiscreteLatent"):
        raise UserError(
            f"gap_images: the run has {latent.rpartition('.')[2]}, whose draws of z are not differentiable; the "
            "inference gap is for latent=gaussian, so leave the option out"
        )


def check_likelihood(likelihood: "Likelihood", data: "DataSource") -> None:
    """Check a likelihood against the training images.

    Raises:
        UserError: if the likelihood is Bernoulli and the images have colours; or if it has levels, and the images are
            binarized or have values between the levels.
    """
    from vae.likelihoods import BernoulliLikelihood, QuantizedLikelihood

    name = type(likelihood).__name__
    height, width, channels = data.image_shape
    if isinstance(likelihood, BernoulliLikelihood) and channels > 1 and data.grey_levels > 2:
        grey = f", or make the images grey, such as with data.shape=[{height},{width},1]" if channels == 3 else ""
        raise UserError(
            f"likelihood: {name} is for black and white pixels, and the images have {channels} channels of "
            f"{data.grey_levels} levels; choose likelihood=discretized_logistic or gaussian, with "
            f"data.binarization=none{grey}"
        )
    if isinstance(likelihood, QuantizedLikelihood):
        if data.binarization != "none":
            raise _binarized(name, data.binarization)
        if not data.has_grey_levels(likelihood.levels):
            raise UserError(
                f"likelihood.levels={likelihood.levels}: the training images have values between {likelihood.levels} "
                f"equally spaced grey levels; leave the option out, or choose {data.grey_levels}"
            )


def check_memory(weights: int, options: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a model whose weights cannot be trained in this machine's memory.

    Args:
        weights: the number of its weights.
        options: the options of the groups that it depends on, by group.

    Raises:
        UserError: naming the options that have numbers.
    """
    needed, there = weights * _BYTES_PER_WEIGHT / 2**30, memory() / 2**30
    if needed > there:
        sizes = ", ".join(
            f"{group}.{name}={shown(value)}"
            for group, values in options.items()
            for name, value in values.items()
            if isinstance(value, int | list) and not isinstance(value, bool)
        )
        raise UserError(
            f"{sizes}: {weights:,} weights, with their gradients and the optimizer's means, take {needed:,.0f} GiB; "
            f"this machine has {there:.0f} GiB, so choose smaller numbers"
        )


def check_callbacks(callbacks: Mapping[str, Mapping[str, Any]], optimizer: Mapping[str, Any]) -> None:
    """Refuse callbacks that would fail in mid-training: some of Keras, and this project's own.

    Args:
        callbacks: the options of each callback, by its name.
        optimizer: the options of the optimizer.

    Raises:
        UserError: naming the first that is of this project; that is to find out by itself in which direction a quantity
            improves, which Keras does for losses only; that evaluates moving averages of weights of which the optimizer
            keeps none; or that calls a function.
    """
    for name, node in callbacks.items():
        target = str(node["_target_"])
        refuse_own_callback(f"callbacks.{name}", target)
        if is_subclass(target, _MOVING_AVERAGES) and not optimizer.get("use_ema"):
            raise UserError(f"callbacks.{name}: evaluates moving averages of the weights; add optimizer.use_ema=true")
        known = options_of(target)
        if known in map(options_of, _CALLING):
            raise UserError(
                f"callbacks.{name}._target_={target}: calls a function, which no option can be; "
                "optimizer.learning_rate takes a schedule, and a callback of your own does what it likes"
            )
        if known not in map(options_of, _MONITORING):  # a constructor of the user's may find the direction
            continue
        given = {option: node.get(option, known[option].default) for option in known}
        monitor = shown(given["monitor"])
        if given["mode"] == "auto" and monitor.removeprefix("val_") != "loss" and given.get("save_best_only", True):
            raise UserError(
                f"callbacks.{name}.monitor={monitor}: Keras cannot tell in which direction it improves; add "
                f"callbacks.{name}.mode=max, as for the ELBO, or min"
            )


def check_shape(data: "DataSource", split: str, trained: Sequence[int]) -> None:
    """Check that the images of a split have the shape `(height, width, channels)` of those that are trained on.

    Raises:
        UserError: if they have another.
    """
    if (shape := getattr(data, split).shape[1:]) != tuple(trained):
        raise UserError(
            f"data: the {split} split of {type(data).__name__} has images of {shape}, and the model trains on "
            f"images of {tuple(trained)}; all must have the same shape"
        )


def check_weights(weights: str | None, strategy: str) -> None:
    """Refuse weights of images under a strategy, which divides batches.

    Raises:
        UserError: if there are weights and the strategy is not "single".
    """
    if weights is not None and strategy != "single":
        raise UserError(f"data.weights={weights}: needs trainer.strategy=single")


def _binarized(name: str, binarization: str) -> UserError:
    return UserError(
        f"data.binarization={binarization}: leaves only black and white, and {name} is for grey levels; "
        "add data.binarization=none, or choose likelihood=bernoulli"
    )
