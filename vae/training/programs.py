"""Programs that runs of one process share: traced and compiled once for all runs whose code and shapes agree.

Seed, beta and weights are variables of the model, which programs read. They are not constants of a program.
"""

from collections.abc import Callable, Hashable
from typing import Any

from vae.model import VAE
from vae.sharing import shared


def program(model: VAE, name: str, make: Callable[[], Any]) -> Any:
    """Return the program of a name that was made for a model; make it if there is none yet."""
    if name not in model.programs:
        model.programs[name] = make()
    return model.programs[name]


def shared_model(model: VAE, key: Hashable | None) -> VAE:
    """Return a model with the state of this new one and, if there are any, the programs of an earlier run.

    Args:
        model: a new model. Its optimizer is built here.
        key: whatever the programs depend on; None for a model of its own.
    """
    model.optimizer.build(model.trainable_variables)
    kept = shared(key, lambda: model)
    if kept is not model:
        kept.take_over(model)
    return kept
