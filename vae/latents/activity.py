"""Active units: the latent variables that a model uses."""

import numpy as np
from numpy.typing import NDArray

ACTIVE_ABOVE = 0.01


def active_units(mean: NDArray[np.float32], latents: int) -> NDArray[np.bool_]:
    """Return True for each latent variable whose posterior mean has a variance above 0.01 over the images.

    Burda, Grosse and Salakhutdinov 2016, "Importance weighted autoencoders". For a categorical variable, the variances
    of its classes' probabilities are summed.

    Args:
        mean: posterior means, `(n, z_size)`.
        latents: the number of latent variables.

    Returns:
        A mask, `(latents,)`.
    """
    variances = np.var(mean.astype(np.float64), axis=0).reshape(latents, -1).sum(axis=1)
    return np.asarray(variances > ACTIVE_ABOVE)
