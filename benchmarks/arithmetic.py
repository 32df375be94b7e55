"""The arithmetic of a training step."""

import itertools

from contenders import CONV_FILTERS, CONV_HIDDEN, HIDDEN, LATENTS, MATRIX_SIZE, SIDE

FLOPS_OF_MATRIX_PRODUCT = 2.0 * MATRIX_SIZE**3


def flops_of_a_step(model: str, batch: int) -> float:
    """Return the floating-point operations of the matrix products and convolutions of a step.

    Every multiply-add takes two operations forward and four backward for each image. The first layer takes two fewer,
    because the gradient with respect to the images is not needed.

    Args:
        model: "mlp" or "conv".
        batch: the number of images per step.
    """
    layers = {"mlp": _mlp, "conv": _conv}[model]()
    return batch * (6.0 * sum(layers) - 2.0 * layers[0])


def _mlp() -> list[int]:
    """Return the forward multiply-adds of each layer for one image."""
    pixels = SIDE**2
    sizes = [(pixels, *HIDDEN, 2 * LATENTS), (LATENTS, *reversed(HIDDEN), pixels)]
    return [left * right for layers in sizes for left, right in itertools.pairwise(layers)]


def _conv() -> list[int]:
    """Return the forward multiply-adds of each layer for one image.

    A convolution has them at every position of its output, a transposed convolution at every position of its input.
    """
    few, many = CONV_FILTERS
    whole, half, quarter = ((SIDE // stride) ** 2 for stride in (1, 2, 4))
    window = 3 * 3
    dense = [(quarter * many, CONV_HIDDEN), (CONV_HIDDEN, 2 * LATENTS)]
    dense += [(LATENTS, CONV_HIDDEN), (CONV_HIDDEN, quarter * many)]
    return [
        half * window * few,
        quarter * window * few * many,
        *(left * right for left, right in dense),
        quarter * window * many * many,
        half * window * many * few,
        whole * window * few,
    ]
