"""Types of the regularizers' arguments, and the order of the two distributions in each direction. No TensorFlow."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Gt
from pydantic import AfterValidator

Distribution = TypeVar("Distribution")

Direction = Literal["forward", "reverse", "symmetric"]
Support = Literal["quadrature", "histogram"]
Reduction = Literal["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"]


def _is_not_one(alpha: float) -> float:
    if alpha == 1.0:
        raise ValueError("must not be 1, at which it is kl=analytic")
    return alpha


RenyiOrder = Annotated[float, Gt(0), AfterValidator(_is_not_one)]


def ordered_pairs(direction: str, q: Distribution, p: Distribution) -> list[tuple[Distribution, Distribution]]:
    """Return the pairs (first, second) whose D[first || second] a direction averages.

    Args:
        direction: "forward", D[q || p]; "reverse", D[p || q]; "symmetric", the mean of the two.
        q: the posterior.
        p: the prior.
    """
    return {"forward": [(q, p)], "reverse": [(p, q)], "symmetric": [(q, p), (p, q)]}[direction]


def mean_over_pairs(direction: str, term: Callable[[Any, Any], Any], q: Any, p: Any) -> Any:
    """Return the mean of `term(first, second)` over the pairs of a direction."""
    terms = [term(first, second) for first, second in ordered_pairs(direction, q, p)]
    return terms[0] if len(terms) == 1 else 0.5 * (terms[0] + terms[1])
