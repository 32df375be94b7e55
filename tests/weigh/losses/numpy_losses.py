"""Losses in NumPy: a right one, and planted mistakes."""

import numpy as np


def kl_of(mu, log_var):
    return 0.5 * (mu**2 + np.exp(log_var) - 1 - log_var)


def cross_entropy(x, y):
    return -x * np.log(y) - (1 - x) * np.log1p(-y)


def total(values):
    return np.sum(values) / len(values)


def canonical(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + total(kl_of(mu, log_var))


def elbo(x, y, mu, log_var):
    return -canonical(x, y, mu, log_var)


def mean_over_latents(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + np.mean(kl_of(mu, log_var))


def mean_over_pixels(x, y, mu, log_var):
    return np.mean(cross_entropy(x, y)) + total(kl_of(mu, log_var))


def sum_over_batch(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + np.sum(kl_of(mu, log_var))


def divided_by_pixels(x, y, mu, log_var):
    return np.mean(cross_entropy(x, y)) + total(kl_of(mu, log_var)) / x[0].size


def without_half(x, y, mu, log_var):
    return total(cross_entropy(x, y)) - total(1 + log_var - mu**2 - np.exp(log_var))


def in_bits(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + total(kl_of(mu, log_var)) / np.log(2)


def without_one(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + 3 * total(0.5 * (mu**2 + np.exp(log_var) - log_var))


def with_constant(x, y, mu, log_var):
    return canonical(x, y, mu, log_var) + 100.0


def wrong_sign(x, y, mu, log_var):
    return total(cross_entropy(x, y)) - total(kl_of(mu, log_var))


def wrong_sign_of_the_mean(x, y, mu, log_var):
    return total(cross_entropy(x, y)) - 0.5 * total(1 + log_var + mu**2 - np.exp(log_var))


def without_means(x, y, mu, log_var):
    return total(cross_entropy(x, y)) - 0.5 * total(1 + log_var - np.exp(log_var))


def log_var_as_log_std(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + total(kl_of(mu, 2 * log_var))


def log_std_as_log_var(x, y, mu, log_sigma):
    return total(cross_entropy(x, y)) + total(kl_of(mu, log_sigma))


def std_as_log_var(x, y, mu, sigma):
    return total(cross_entropy(x, y)) + total(kl_of(mu, sigma))


def std_as_variance_in_part(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + total(0.5 * (mu**2 + np.exp(0.5 * log_var) - 1 - log_var))


def variance_of_log_std_in_part(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + total(0.5 * (mu**2 + np.exp(2 * log_var) - 1 - log_var))


def reverse(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + total(0.5 * (log_var + (1 + mu**2) / np.exp(log_var) - 1))


def symmetric(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + total(0.25 * (mu**2 * (1 + np.exp(-log_var)) + 2 * np.cosh(log_var) - 2))


def free_bits_per_latent(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + total(np.maximum(kl_of(mu, log_var), 0.5))


def free_bits_on_the_whole(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + max(total(kl_of(mu, log_var)), 3.0)


def capacity(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + 30 * abs(total(kl_of(mu, log_var)) - 5.0)


def unknown_term(x, y, mu, log_var):
    return total(cross_entropy(x, y)) + total(np.sin(3 * mu) + mu**4 * np.exp(log_var))


def product(x, y, mu, log_var):
    return total(cross_entropy(x, y)) * (1 + total(kl_of(mu, log_var)))


def no_kl(x, y, mu, log_var):
    return total(cross_entropy(x, y))


def no_reconstruction(x, y, mu, log_var):
    return total(kl_of(mu, log_var))


def kl_alone(mu, log_var):
    return np.mean(kl_of(mu, log_var))


def gaussian(x, y, mu, log_var, sigma=0.1):
    return total((x - y) ** 2 / (2 * sigma**2) + np.log(sigma) + 0.5 * np.log(2 * np.pi)) + total(kl_of(mu, log_var))


def laplace(x, y, mu, log_var):
    return total(np.abs(x - y) / 0.2) + total(kl_of(mu, log_var))


def root_mean_square(x, y, mu, log_var):
    return np.sqrt(np.mean((x - y) ** 2)) + total(kl_of(mu, log_var))


def fitted_sigma(x, y, mu, log_var):
    return 0.5 * x[0].size * np.log(np.mean((x - y) ** 2)) + total(kl_of(mu, log_var))


def norm_per_example(x, y, mu, log_var):
    return np.mean(np.sqrt(np.sum((x - y) ** 2, axis=(1, 2, 3)))) + total(kl_of(mu, log_var))


def huber(x, y, mu, log_var):
    error = np.abs(x - y)
    return total(np.where(error < 1, 0.5 * error**2, error - 0.5)) + total(kl_of(mu, log_var))


def cubic_error(x, y, mu, log_var):
    return total(np.abs(x - y) ** 3) + total(kl_of(mu, log_var))


def swapped(x, y, mu, log_var):
    return total(cross_entropy(y, x)) + total(kl_of(mu, log_var))


def logits(images, logits, mu, log_var):
    return total(np.logaddexp(0, logits) - images * logits) + total(kl_of(mu, log_var))


def logits_as_probabilities(images, logits, mu, log_var):
    return total(cross_entropy(images, logits)) + total(kl_of(mu, log_var))


def flat(x, y, mu, log_var):
    return np.mean(np.sum(cross_entropy(x, y), axis=1)) + np.mean(np.sum(kl_of(mu, log_var), axis=1))


def per_example(x, y, mu, log_var):
    return np.sum(cross_entropy(x, y), axis=(1, 2, 3)) + np.sum(kl_of(mu, log_var), axis=1)


def spatial(x, y, mu, log_var):
    return np.mean((x - y) ** 2) + 1e-6 * np.mean(np.sum(kl_of(mu, log_var), axis=(1, 2, 3)))


def random(x, y, mu, log_var):
    return canonical(x, y, mu + np.random.normal(size=mu.shape), log_var)  # noqa: NPY002


def single_inside(x, y, mu, log_var):
    return np.float64(canonical(*(each.astype(np.float32) for each in (x, y, mu, log_var))))


def slightly_random(x, y, mu, log_var):
    return canonical(x, y, mu, log_var) + 1e-6 * np.random.normal()  # noqa: NPY002


def unstable(x, y, mu, log_var):
    return canonical(x, y - 1, mu, log_var)


def several(x, y, mu, log_var):
    return total(cross_entropy(x, y)), total(kl_of(mu, log_var))


def several_named(x, y, mu, log_var):
    return {"kl": total(kl_of(mu, log_var)), "total": canonical(x, y, mu, log_var)}


def weighted(x, y, mu, log_var, beta=4.0, *, gamma=1.0):
    return gamma * (total(cross_entropy(x, y)) + beta * total(kl_of(mu, log_var)))


def needs_more(x, y, mu, log_var, temperature):
    return canonical(x, y, mu, log_var)


def words(x, y, mu, log_var):
    return "loss"
