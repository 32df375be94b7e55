"""Supports: the probability vectors of two continuous distributions, as the Keras functions expect them.

Both functions take the distributions of D[first || second] in that order and return two float32 tensors of shape
`(batch, latents, points)`.
"""

import math
from typing import Any

import tensorflow as tf

QUADRATURE_POINTS = 32
QUADRATURE_REACH = 4.0
HISTOGRAM_POINTS = 64
HISTOGRAM_REACH = 6.0


def quadrature(first: Any, second: Any, points: int | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Return weights on nodes that follow the first distribution, which the expectation of D[first || second] is under.

    The nodes are mu + sigma * t with t on [-4, 4]. The first distribution's weights are constants that sum to 1. The
    second's are its density at the nodes times the nodes' width, and need not sum to 1.

    For Gaussians with r, the variance of the first over that of the second, the divergence is off by c (1 - r) + d as
    long as no density is clipped: c = 3.1e-4 and d = 3.5e-5 nats at 32 points, 5.4e-4 and 6.3e-5 for infinitely many
    (derived in docs/mathematics.md). It is too large if the first distribution is the narrower one, and too small from
    r = 1.11 on.

    Densities are clipped at the outer nodes if the second distribution hardly reaches them. In the reverse direction
    this happens at a posterior's ordinary width: D[p || q] for mu = 1 and log_var = -4 is 52.1 nats, and 9.4 here.
    """
    t = tf.linspace(-QUADRATURE_REACH, QUADRATURE_REACH, points or QUADRATURE_POINTS)
    weights = tf.nn.softmax(-0.5 * tf.square(t))
    sigma = tf.exp(0.5 * first.log_var)[..., tf.newaxis]
    nodes = first.mu[..., tf.newaxis] + sigma * t
    width = sigma * (t[1] - t[0])
    density = tf.exp(second.log_prob(nodes, extra_axes=1))
    return _same_shape(weights, density * width)


def histogram(first: Any, second: Any, points: int | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the masses of both distributions in the same bins, on [-6, 6].

    Their divergence is a true one between two discrete distributions, and so a lower bound of the continuous one. It is
    blind to anything narrower than a bin. The outer edges are finite, since infinite ones give NaN gradients.
    """
    edges = tf.linspace(-HISTOGRAM_REACH, HISTOGRAM_REACH, (points or HISTOGRAM_POINTS) + 1)

    def masses(distribution: Any) -> tf.Tensor:
        standardized = (edges - distribution.mu[..., tf.newaxis]) * tf.exp(-0.5 * distribution.log_var)[..., tf.newaxis]
        below = 0.5 * (1.0 + tf.math.erf(standardized / math.sqrt(2.0)))
        return below[..., 1:] - below[..., :-1]

    return _same_shape(masses(first), masses(second))


def _same_shape(first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    shape = tf.broadcast_dynamic_shape(tf.shape(first), tf.shape(second))
    return tf.broadcast_to(first, shape), tf.broadcast_to(second, shape)
