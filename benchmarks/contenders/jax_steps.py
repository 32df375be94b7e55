"""The VAE in plain JAX with optax's Adam: a compiled step, and a compiled epoch."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from contenders import (
    CONV_FILTERS,
    CONV_HIDDEN,
    EPSILON,
    HIDDEN,
    LATENTS,
    LEARNING_RATE,
    LOG_VAR_BOUNDS,
    HandIn,
    Round,
    Task,
)

jax.config.update("jax_threefry_partitionable", False)  # the same generator at half the cost

Parameters = list[dict[str, jax.Array]]


def compiled_step(task: Task, hand_in: HandIn) -> None:
    """Train with one call per step, its state donated.

    The order, the images and the number of the step are on the device.
    """
    train_step, state = training(task)
    step = jax.jit(lambda state, images, order, number: train_step(images, state, order[number]), donate_argnums=0)

    def epoch(state: Any, images: jax.Array, order: jax.Array) -> tuple[Any, list[jax.Array]]:
        losses = []
        for number in range(len(order)):
            state, loss = step(state, images, order, number)
            losses.append(loss)
        return state, losses

    run(task, hand_in, epoch, state)


def compiled_epoch(task: Task, hand_in: HandIn) -> None:
    """Train with one call per epoch: `lax.scan` over the permuted indices, its state donated."""
    train_step, state = training(task)

    @functools.partial(jax.jit, donate_argnums=0)
    def epoch(state: Any, images: jax.Array, order: jax.Array) -> tuple[Any, jax.Array]:
        return jax.lax.scan(functools.partial(train_step, images), state, order)

    run(task, hand_in, epoch, state)


def run(task: Task, hand_in: HandIn, epoch: Callable[..., tuple[Any, Any]], state: Any) -> None:
    """Train forever, an epoch per round; the images are resident."""
    images = jnp.asarray(task.training_images())
    generator = np.random.default_rng(0)
    while True:
        began = time.perf_counter()
        order = generator.permutation(task.count)[: task.steps * task.batch].astype(np.int32)
        state, losses = epoch(state, images, jnp.asarray(order.reshape(task.steps, task.batch)))
        jax.block_until_ready((state, losses))
        seconds = time.perf_counter() - began
        hand_in(Round(1000 * seconds / task.steps, float(np.mean(losses))))


def training(task: Task) -> tuple[Callable[..., tuple[Any, jax.Array]], Any]:
    """Return a training step, from images, state and indices to state and loss, and its initial state."""
    initial, encode, decode = {"mlp": mlp, "conv": conv}[task.model]()
    optimizer = optax.adam(LEARNING_RATE, eps=EPSILON)

    def loss_of(parameters: Parameters, batch: jax.Array, key: jax.Array) -> jax.Array:
        mu, log_var = jnp.split(encode(parameters, batch), 2, axis=-1)
        low, high = LOG_VAR_BOUNDS
        log_var = high - jax.nn.softplus(high - (low + jax.nn.softplus(log_var - low)))
        z = mu + jnp.exp(0.5 * log_var) * jax.random.normal(key, mu.shape)
        logits = decode(parameters, z)
        reconstruction = (jax.nn.softplus(logits) - logits * batch).sum(axis=(1, 2, 3))  # optax's own is slower
        kl = 0.5 * (jnp.expm1(log_var) - log_var + mu**2).sum(axis=-1)
        return jnp.mean(reconstruction + kl)

    def train_step(images: jax.Array, state: Any, indices: jax.Array) -> tuple[Any, jax.Array]:
        parameters, moments, step = state
        draw, noise = jax.random.split(jax.random.fold_in(jax.random.key(0), step))
        scaled = images[indices].astype(jnp.float32) / 255
        batch = (jax.random.uniform(draw, scaled.shape) < scaled).astype(jnp.float32)
        loss, gradients = jax.value_and_grad(loss_of)(parameters, batch, noise)
        updates, moments = optimizer.update(gradients, moments)
        return (optax.apply_updates(parameters, updates), moments, step + 1), loss

    return train_step, (initial, optimizer.init(initial), jnp.zeros((), jnp.int32))


def mlp() -> tuple[Parameters, Callable[..., jax.Array], Callable[..., jax.Array]]:
    """Return parameters, encoder and decoder."""
    shapes = [(784, HIDDEN[0]), HIDDEN, (HIDDEN[1], 2 * LATENTS), (LATENTS, HIDDEN[1]), HIDDEN[::-1], (HIDDEN[0], 784)]

    def network(layers: Parameters, x: jax.Array) -> jax.Array:
        for layer in layers[:-1]:
            x = jnp.tanh(dense(layer, x))
        return dense(layers[-1], x)

    def encode(parameters: Parameters, images: jax.Array) -> jax.Array:
        return network(parameters[:3], images.reshape(len(images), -1))

    def decode(parameters: Parameters, z: jax.Array) -> jax.Array:
        return network(parameters[3:], z).reshape(len(z), 28, 28, 1)

    return initialized(shapes), encode, decode


def conv() -> tuple[Parameters, Callable[..., jax.Array], Callable[..., jax.Array]]:
    """Return parameters, encoder and decoder."""
    few, many = CONV_FILTERS
    small = (7, 7, many)
    shapes = [(3, 3, 1, few), (3, 3, few, many), (7 * 7 * many, CONV_HIDDEN), (CONV_HIDDEN, 2 * LATENTS)]
    shapes += [(LATENTS, CONV_HIDDEN), (CONV_HIDDEN, 7 * 7 * many), (3, 3, many, many), (3, 3, many, few)]
    shapes += [(3, 3, few, 1)]

    def convolution(layer: dict[str, jax.Array], x: jax.Array, stride: int) -> jax.Array:
        layout = ("NHWC", "HWIO", "NHWC")
        strides = (stride, stride)
        return jax.lax.conv_general_dilated(x, layer["w"], strides, "SAME", dimension_numbers=layout) + layer["b"]

    def transposed(layer: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_transpose(x, layer["w"], (2, 2), "SAME", dimension_numbers=layout) + layer["b"]

    def encode(parameters: Parameters, images: jax.Array) -> jax.Array:
        x = jax.nn.relu(convolution(parameters[0], images, 2))
        x = jax.nn.relu(convolution(parameters[1], x, 2))
        x = jax.nn.relu(dense(parameters[2], x.reshape(len(x), -1)))
        return dense(parameters[3], x)

    def decode(parameters: Parameters, z: jax.Array) -> jax.Array:
        x = jax.nn.relu(dense(parameters[4], z))
        x = jax.nn.relu(dense(parameters[5], x)).reshape(len(z), *small)
        x = jax.nn.relu(transposed(parameters[6], x))
        x = jax.nn.relu(transposed(parameters[7], x))
        return convolution(parameters[8], x, 1)

    return initialized(shapes), encode, decode


def dense(layer: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Return the output of a fully connected layer."""
    return x @ layer["w"] + layer["b"]


def initialized(shapes: Sequence[tuple[int, ...]]) -> Parameters:
    """Return weights initialized as in Keras, for kernels of these shapes."""
    glorot = jax.nn.initializers.glorot_uniform()
    keys = jax.random.split(jax.random.key(1), len(shapes))
    return [{"w": glorot(key, shape), "b": jnp.zeros(shape[-1])} for key, shape in zip(keys, shapes, strict=True)]
