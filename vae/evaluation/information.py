"""How much the latent variables say about the data."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

ROWS_AT_A_TIME = 500


def mutual_information(
    mu: NDArray[np.float64], log_var: NDArray[np.float64], z: NDArray[np.float64], kl: float
) -> dict[str, float]:
    """The two parts of the mean KL, in nats: KL = I(x; z) + D[q(z) || p(z)].

    q(z) is the mixture of all n posteriors; its log-density is averaged over one sample of each. The mutual
    information cannot come out above log n. Hoffman and Johnson 2016, "ELBO surgery", equation 9.

    Args:
        mu: the posteriors' means, `(n, latents)`.
        log_var: the logarithms of their variances, the same shape.
        z: a sample of each, the same shape.
        kl: the mean over the n posteriors of D[q(z|x) || p(z)], in nats.

    Returns:
        "mutual_information", I(x; z), and "marginal_kl", D[q(z) || p(z)].
    """
    precision = np.exp(-log_var)
    constant = np.sum(log_var + np.square(mu) * precision, axis=1) + mu.shape[1] * math.log(2 * math.pi)
    own = -0.5 * np.sum(np.square(z - mu) * precision + log_var + math.log(2 * math.pi), axis=1)
    marginal = np.empty(len(z))
    for first in range(0, len(z), ROWS_AT_A_TIME):
        rows = z[first : first + ROWS_AT_A_TIME]
        square = np.square(rows) @ precision.T - 2 * rows @ (mu * precision).T  # (z - mu)^2 / sigma^2 less its constant
        marginal[first : first + ROWS_AT_A_TIME] = logsumexp(-0.5 * (square + constant), axis=1) - math.log(len(z))
    information = float(np.mean(own - marginal))
    return {"mutual_information": information, "marginal_kl": kl - information}
