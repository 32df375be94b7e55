"""Every network on images of every size, and the start at the data's mean."""

import math

import keras
import numpy as np
import pytest

from vae.errors import UserError
from vae.networks import MLP, Conv, Networks, set_output_bias

SHAPES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (17, 30, 3), (5, 3, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "network", [MLP(), MLP((7,)), Conv(), Conv((4, 8, 16), 9)], ids=["mlp", "small-mlp", "conv", "deep-conv"]
)
def test_shapes(network: MLP | Conv, shape: tuple[int, int, int]) -> None:
    images = np.zeros((2, *shape), np.float32)
    assert network.encoder(shape, 6)(images).shape == (2, 6)
    assert network.decoder(3, shape)(np.zeros((2, 3), np.float32)).shape == (2, *shape)


@pytest.mark.parametrize("network", [MLP(), Conv()], ids=["mlp", "conv"])
def test_the_last_layers_are_float32_under_mixed_precision(network: MLP | Conv) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        encoder, decoder = network.encoder((8, 8, 1), 4), network.decoder(2, (8, 8, 1))
    finally:
        keras.config.set_dtype_policy("float32")
    assert encoder.output.dtype == decoder.output.dtype == "float32"
    assert encoder.layers[2].compute_dtype == "bfloat16"


def test_the_decoder_starts_at_given_parameters() -> None:
    mean = np.random.default_rng(0).random((6, 7, 2)).astype(np.float32)
    mlp, conv = MLP().decoder(3, mean.shape), Conv().decoder(3, mean.shape)
    for decoder in (mlp, conv):
        set_output_bias(decoder, mean)
    at_zero = np.zeros((1, 3), np.float32)  # the hidden layers' biases are zero, so their outputs are, too
    assert np.allclose(mlp(at_zero)[0], mean)
    assert np.allclose(conv(at_zero)[0], np.broadcast_to(mean.mean(axis=(0, 1)), mean.shape))


def test_the_decoder_mirrors_the_encoder() -> None:
    encoder, decoder = MLP((30, 20)).encoder((4, 4, 1), 2), MLP((30, 20)).decoder(1, (4, 4, 1))
    assert [layer.units for layer in encoder.layers if hasattr(layer, "units")] == [30, 20, 2]
    assert [layer.units for layer in decoder.layers if hasattr(layer, "units")] == [20, 30, math.prod((4, 4, 1))]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 200}, "hidden=200: .*list"),
        ({"hidden": [200, 0]}, r"hidden=\[200,0\]: item 2 .*greater than 0"),
        ({"hidden": []}, r"hidden=\[\]: .*at least 1 item"),
        ({"activation": 3}, "activation=3: .*string"),
    ],
)
def test_refuses_bad_values(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MLP(**options)  # type: ignore[arg-type]


def test_networks_of_the_user() -> None:
    """A subclass builds both models; the decoder's last layer needs the name that `set_output_bias` looks for."""

    class Linear(Networks):
        def __init__(self, name: str = "likelihood") -> None:
            self.name = name

        def encoder(self, image_shape: tuple[int, int, int], parameter_count: int) -> keras.Model:
            images = keras.Input(image_shape)
            return keras.Model(images, keras.layers.Dense(parameter_count)(keras.layers.Flatten()(images)))

        def decoder(self, latents: int, image_shape: tuple[int, int, int]) -> keras.Model:
            z = keras.Input((latents,))
            parameters = keras.layers.Dense(math.prod(image_shape), name=self.name)(z)
            return keras.Model(z, keras.layers.Reshape(image_shape)(parameters))

    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Linear()))
    mean = np.full((4, 4, 1), 0.25, np.float32)
    decoder = again.decoder(2, (4, 4, 1))
    set_output_bias(decoder, mean)
    assert np.allclose(decoder(np.zeros((1, 2), np.float32))[0], mean)
    with pytest.raises(UserError, match='name "likelihood"'):
        set_output_bias(Linear("out").decoder(2, (4, 4, 1)), mean)
    with pytest.raises(TypeError, match="abstract"):
        Networks()  # type: ignore[abstract]
