"""The information that the latent variables carry about the data."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from vae.evaluation.statistics import mean_and_error

ROWS_AT_A_TIME = 500
#: The largest distance of the two estimates, in nats, at which their mean is reported; its bias is then about a tenth
RESOLVED_WITHIN = 0.5


def mutual_information(posterior: Any, z: NDArray[np.float32], kl: NDArray[np.float32]) -> dict[str, float | None]:
    """Return the two parts of the mean KL, KL = I(x; z) + D[q(z) || p(z)], as far as n images tell them; in nats.

    Hoffman and Johnson 2016, "ELBO surgery". The density q(z) at the sample of an image is estimated by the mean of the
    n posteriors, its own included, or of the n - 1 others. Over images drawn from the data's distribution, the first
    gives a lower bound of I(x; z), which cannot exceed log n, and the second an upper bound: Poole et al. 2019, "On
    variational bounds of mutual information". Another upper bound is the KL. To first order in 1/n the biases of the
    two estimates are opposite, so that their mean is the estimate of I(x; z), if they are within half a nat. If they
    are not, n images do not tell the mutual information, nor the marginal KL.

    Args:
        posterior: the posteriors of n images.
        z: one sample of each, `(n, z_size)`.
        kl: D[q(z|x) || p(z)] of each in nats, `(n,)`.

    Returns:
        "mutual_information", I(x; z), and "marginal_kl", D[q(z) || p(z)], each with a standard error,
        "mutual_information_error" and "marginal_kl_error": all None if n images do not tell them. The bounds
        "mutual_information_lower" and "mutual_information_upper" are always numbers.
    """
    images, mean_kl = len(z), float(np.mean(kl, dtype=np.float64))
    lower, upper = np.empty(images), np.empty(images)
    for first in range(0, images, ROWS_AT_A_TIME):
        pairs = posterior.pairwise_log_prob(z[first : first + ROWS_AT_A_TIME]).numpy()
        rows = np.arange(len(pairs))
        own = pairs[rows, first + rows]
        lower[first + rows] = own - (logsumexp(pairs, axis=1) - math.log(images))
        pairs[rows, first + rows] = -np.inf
        upper[first + rows] = own - (logsumexp(pairs, axis=1) - math.log(max(images - 1, 1)))

    bounds = {"mutual_information_lower": float(lower.mean()), "mutual_information_upper": float(upper.mean())}
    if not upper.mean() - lower.mean() <= RESOLVED_WITHIN:
        unknown = ("mutual_information", "mutual_information_error", "marginal_kl", "marginal_kl_error")
        bounds["mutual_information_upper"] = min(bounds["mutual_information_upper"], mean_kl)
        return {**dict.fromkeys(unknown), **bounds}
    information = (lower + upper) / 2
    return {
        # That all images share one mixture changes the errors in the second order only
        **mean_and_error("mutual_information", information),
        **mean_and_error("marginal_kl", kl - information),
        **bounds,
    }
