"""How much arithmetic a training step is."""

import itertools

from contenders import CONV_FILTERS, CONV_HIDDEN, HIDDEN, LATENTS, MATRIX_SIZE, SIDE

FLOPS_OF_MATRIX_PRODUCT = 2.0 * MATRIX_SIZE**3


def flops_of_a_step(model: str, batch: int) -> float:
    """Of matrix products and convolutions alone: two forward and four backward for every multiply-add and image.

    The first layer has two less: nobody needs the gradient with respect to the images.

    Args:
        model: "mlp" or "conv".
        batch: images a step.
    """
    layers = {"mlp": _mlp, "conv": _conv}[model]()
    return batch * (6.0 * sum(layers) - 2.0 * layers[0])


def _mlp() -> list[int]:
    """Multiply-adds of each layer for one image, forward."""
    pixels = SIDE**2
    sizes = [(pixels, *HIDDEN, 2 * LATENTS), (LATENTS, *reversed(HIDDEN), pixels)]
    return [left * right for layers in sizes for left, right in itertools.pairwise(layers)]


def _conv() -> list[int]:
    """The same. A convolution has them at every position that comes out, its transpose at every one that goes in."""
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
