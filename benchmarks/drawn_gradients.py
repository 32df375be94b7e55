"""Gradients of the KL and of the whole loss, one draw at a time, for the benchmark of their noise."""

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vae import cli

if TYPE_CHECKING:
    from vae import VAE
    from vae.data import DataSource
    from vae.kl import KLRegularizer

FIXED, DRAWN = "fixed", "drawn"
EXACT = "exact"
#: Each Monte Carlo estimator by its options besides the number of samples
ESTIMATORS: dict[str, dict[str, Any]] = {
    "total": {},
    "stl": {"estimator": "stl"},
    "antithetic": {"draws": "antithetic"},
    "stratified": {"draws": "stratified"},
    "stl-antithetic": {"estimator": "stl", "draws": "antithetic"},
    "stl-stratified": {"estimator": "stl", "draws": "stratified"},
}

Images = Any  # a tensor `(batch, height, width, channels)`
Gradients = dict["Row", NDArray[np.float32]]


class Row(NamedTuple):
    """The name of a gradient.

    Args:
        term: "KL" or "loss".
        place: "output", "encoder" or "all weights": what the term is differentiated with respect to.
        estimator: "exact", or a name in `ESTIMATORS`.
        samples: the draws for each image; None for the exact KL.
    """

    term: str
    place: str
    estimator: str
    samples: int | None

    @property
    def exact(self) -> "Row":
        """The same with the exact KL."""
        return self._replace(estimator=EXACT, samples=None)


def trained(options: list[str], epochs: int, seed: int) -> "tuple[VAE, DataSource]":
    """Return a model that was trained with the exact KL, and its data.

    Raises:
        UserError: if an option is wrong.
    """
    import keras

    from vae import training
    from vae.config import build

    config = cli.compose("train", f"trainer.epochs={epochs}", f"seed={seed}", *options, "kl=analytic")
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    data = build.build_data(config)
    model = build.build_model(config, data)
    training.fit(model, data, [], build.build_options(config))
    return model, data


def regularizers(names: Iterable[str], samples: Iterable[int]) -> "dict[tuple[str, int | None], KLRegularizer]":
    """Return the exact KL and each estimator at each number of samples, by name and number.

    An estimator whose draws depend on one another has at least two.
    """
    from vae.kl import Analytic, MonteCarlo

    found: dict[tuple[str, int | None], KLRegularizer] = {(EXACT, None): Analytic()}
    for name, count in itertools.product(names, samples):
        if count > 1 or "draws" not in ESTIMATORS[name]:
            found[name, count] = MonteCarlo(samples=count, **ESTIMATORS[name])
    return found


def gradient_function(
    model: "VAE", estimators: "dict[tuple[str, int | None], KLRegularizer]"
) -> Callable[[Images, Any], dict[Row, Any]]:
    """Return a function from images and the number of the draw to the gradients, each as one vector.

    The draws are those of the training step with that number.
    """
    import tensorflow as tf

    from vae.random import Stream, key

    encoder, decoder = ([weight.value for weight in part.trainable_weights] for part in (model.encoder, model.decoder))

    def flat(gradients: list[Any]) -> Any:
        return tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], axis=0)

    @tf.function(autograph=False, jit_compile=True)
    def gradients(images: Any, draw: Any) -> dict[Row, Any]:
        with tf.GradientTape(persistent=True) as tape:
            output = model.encoder(images, training=True)
            posterior, prior = model.latent.posterior(output), model.prior_distribution()
            z = posterior.sample(key(model.seed, Stream.TRAINING_POSTERIOR, draw))
            reconstruction = -tf.reduce_mean(model.likelihood.log_prob(images, model.decoder(z, training=True)))
            own_key = key(model.seed, Stream.TRAINING_REGULARIZER, draw)
            values = {name: kl(posterior, prior, z, key=own_key) for name, kl in estimators.items()}
        of_reconstruction = tape.gradient(reconstruction, [output, *encoder, *decoder])
        split = 1 + len(encoder)
        places = {"output": slice(1), "encoder": slice(1, split), "all weights": slice(1, None)}
        found = {}
        for name, value in values.items():
            of_kl = tape.gradient(value, [output, *encoder, *decoder], unconnected_gradients="zero")
            of_loss = [one + model.current_beta() * other for one, other in zip(of_reconstruction, of_kl, strict=True)]
            for place, chosen in places.items():
                if place != "all weights":  # the decoder has none of the KL's gradient
                    found[Row("KL", place, *name)] = flat(of_kl[chosen])
                found[Row("loss", place, *name)] = flat(of_loss[chosen])
        return found

    return gradients


def batches_of(data: "DataSource", images: str, batch: int, seed: int) -> Callable[[int], Images]:
    """Return a function from the number of the draw to its images, the first ones of the data or drawn ones."""
    import tensorflow as tf

    from vae.data import training_images
    from vae.data.batches import image_reader

    read, count = image_reader(data.train), data.size("train")

    def fixed(draw: int) -> Images:
        return training_images(read(tf.range(batch, dtype=tf.int64)), data.binarization, seed, 0)

    def drawn(draw: int) -> Images:
        chosen = np.random.default_rng([seed, draw]).choice(count, batch, replace=False)
        return training_images(read(tf.constant(chosen)), data.binarization, seed, draw)

    if images == DRAWN:
        return drawn
    always = fixed(0)
    return lambda draw: always


def draws_of(
    gradients: Callable[[Images, Any], dict[Row, Any]],
    batch_of: Callable[[int], Images],
    images: str,
    advance: Callable[[], None],
) -> Callable[[int], Gradients]:
    """Return a function from the number of a draw to its gradients.

    With drawn images these are the loss's alone, at all weights: an output belongs to other images in each draw.
    """
    import tensorflow as tf

    def draws(draw: int) -> Gradients:
        advance()
        found = gradients(batch_of(draw), tf.constant(draw, tf.int64))
        return {
            row: vector.numpy()
            for row, vector in found.items()
            if images == FIXED or (row.term, row.place) == ("loss", "all weights")
        }

    return draws
