"""Losses in JAX."""

import jax
import jax.numpy as jnp


@jax.jit
def flax_example(logits, x, mean, logvar):
    """As in Flax's VAE example: the cross-entropy of logits and the KL, summed, and the mean over the batch."""
    log_p = jax.nn.log_sigmoid(logits)
    bce = -jnp.sum(x * log_p + (1.0 - x) * jnp.log(-jnp.expm1(log_p)), axis=(1, 2, 3))
    kld = -0.5 * jnp.sum(1 + logvar - jnp.square(mean) - jnp.exp(logvar), axis=-1)
    return bce.mean() + kld.mean()


def averaged(x, y, mu, sigma):
    """Both terms are means, and the parameter is a standard deviation."""
    kl = 0.5 * (mu**2 + sigma**2 - 1 - 2 * jnp.log(sigma))
    return jnp.mean((x - y) ** 2) + jnp.mean(kl)
