"""The bias of beta-TCVAE's estimators, on posteriors whose aggregate is known.

    python benchmarks/total_correlation.py [--latents 6] [--sigma 0.32] [--examples 20000] [--batch 128] ...

Every posterior has independent variables of one standard deviation sigma, and means drawn from N(0, 1 - sigma^2). For
infinitely many examples the aggregate is the prior: the mutual information is -D log sigma and the other two parts are
0. With --copies all variables of a posterior have the same mean. The row "exact" uses the mixture of all N posteriors
in float64, at draws of its own; the other rows are the mean over batches of what `kl=tc` computes. After ± stands half
of a 95 % confidence interval.
"""

import argparse

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import logsumexp
from scipy.stats import norm

from vae.compare.inference import half_width
from vae.kl import TotalCorrelation
from vae.latents import Gaussian

DRAWS_AT_A_TIME = 50


def exact_parts(
    mu: NDArray[np.float64], sigma: float, z: NDArray[np.float64], own: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the three parts at each z, whose posterior is number `own`, `(draws, 3)`, from all posteriors."""
    parts = []
    for first in range(0, len(z), DRAWS_AT_A_TIME):
        chunk = slice(first, first + DRAWS_AT_A_TIME)
        pairs = norm.logpdf(z[chunk, np.newaxis], mu, sigma)
        conditional = norm.logpdf(z[chunk], mu[own[chunk]], sigma).sum(axis=1)
        joint = logsumexp(pairs.sum(axis=2), axis=1) - np.log(len(mu))
        marginals = (logsumexp(pairs, axis=1) - np.log(len(mu))).sum(axis=1)
        prior = norm.logpdf(z[chunk]).sum(axis=1)
        parts.append(np.stack([conditional - joint, joint - marginals, marginals - prior], axis=1))
    return np.concatenate(parts)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=int, default=6)
    parser.add_argument("--sigma", type=float, default=0.32)
    parser.add_argument("--copies", action="store_true")
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=400)
    parser.add_argument("--correlation", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    generator, sigma = np.random.default_rng(arguments.seed), arguments.sigma
    shape = (arguments.examples, 1 if arguments.copies else arguments.latents)
    mu = np.tile(np.sqrt(1 - sigma**2) * generator.normal(size=shape), arguments.latents // shape[1])
    prior = Gaussian(tf.zeros([1, arguments.latents]), tf.zeros([1, arguments.latents]))

    def draw(number: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        chosen = generator.choice(len(mu), number, replace=False)
        return chosen, mu[chosen] + sigma * generator.normal(size=(number, arguments.latents))

    own, z = draw(min(1000, len(mu)))
    values = {"exact": exact_parts(mu, sigma, z, own)}
    batches = [draw(arguments.batch) for _ in range(arguments.batches)]
    for estimator in ("stratified", "weighted"):
        kl = TotalCorrelation(dataset_size=len(mu), estimator=estimator)
        values[estimator] = np.array(
            [
                [
                    float(tf.reduce_mean(part))
                    for part in kl.parts(posterior_of(mu[chosen], sigma), prior, tf.constant(z, tf.float32))
                ]
                for chosen, z in batches
            ]
        )

    weight = arguments.correlation
    table = Table("nats", "mutual information", "total correlation", "marginal KL", f"with a correlation of {weight:g}")
    for name, parts in values.items():
        columns = [*parts.T, parts @ [1.0, weight, 1.0]]
        table.add_row(name, *(f"{each.mean():.2f} ± {half_width(each.std(ddof=1), len(each)):.2f}" for each in columns))
    Console().print(table)


def posterior_of(mu: NDArray[np.float64], sigma: float) -> Gaussian:
    """Return posteriors of one standard deviation."""
    return Gaussian(tf.constant(mu, tf.float32), tf.fill(mu.shape, 2 * float(np.log(sigma))))


if __name__ == "__main__":
    main()
