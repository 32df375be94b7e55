"""The information that the latent variables carry about the data."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

ROWS_AT_A_TIME = 500


def mutual_information(posterior: Any, z: NDArray[np.float32], kl: float) -> dict[str, float]:
    """Return the two parts of the mean KL, in nats: KL = I(x; z) + D[q(z) || p(z)].

    q(z) is the mixture of all n posteriors; its log density is averaged over one sample of each. The estimate of the
    mutual information cannot exceed log n. Hoffman and Johnson 2016, "ELBO surgery", equation 9.

    Args:
        posterior: the posteriors of n images.
        z: one sample of each, `(n, z_size)`.
        kl: the mean over the n posteriors of D[q(z|x) || p(z)], in nats.

    Returns:
        "mutual_information", I(x; z), and "marginal_kl", D[q(z) || p(z)].
    """
    own, marginal = np.empty(len(z)), np.empty(len(z))
    for first in range(0, len(z), ROWS_AT_A_TIME):
        pairs = posterior.pairwise_log_prob(z[first : first + ROWS_AT_A_TIME]).numpy()
        rows = np.arange(len(pairs))
        own[first + rows] = pairs[rows, first + rows]
        marginal[first + rows] = logsumexp(pairs, axis=1) - math.log(len(z))
    information = float(np.mean(own - marginal))
    return {"mutual_information": information, "marginal_kl": kl - information}
