"""Which latent variables are used."""

import numpy as np
from numpy.typing import NDArray

ACTIVE_ABOVE = 0.01


def active(mean: NDArray[np.float32], latents: int) -> NDArray[np.bool_]:
    """Which latent variables vary: those whose posterior mean has a variance above 0.01 over the images, `(latents,)`.

    Burda, Grosse and Salakhutdinov 2016, section 5. Of a categorical variable the variances of its classes'
    probabilities are summed.

    Args:
        mean: posterior means, `(n, z_size)`.
        latents: how many variables they are of.
    """
    variances = np.var(mean.astype(np.float64), axis=0).reshape(latents, -1).sum(axis=1)
    return np.asarray(variances > ACTIVE_ABOVE)
