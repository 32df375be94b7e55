"""Objects that a saved model rebuilds from the arguments of their constructor."""

import inspect
from typing import Any, Self, TypeVar

import keras

from vae.options import checked

Class = TypeVar("Class", bound=type)

#: The packages that classes were registered under in version 0.1.0, by name of the class. Its models still load.
_PACKAGES_OF_0_1_0 = {
    "Analytic": "vae.kl.analytic",
    "Backend": "vae.kl.backend",
    "BernoulliLatent": "vae.latents.discrete",
    "BernoulliLikelihood": "vae.likelihoods",
    "CategoricalLatent": "vae.latents.discrete",
    "Cosine": "vae.schedules",
    "Cyclical": "vae.schedules",
    "ELBO": "vae.objective",
    "Exponential": "vae.schedules",
    "GaussianLatent": "vae.latents.gaussian",
    "GaussianLikelihood": "vae.likelihoods",
    "JensenShannon": "vae.kl.divergences",
    "KerasLoss": "vae.kl.keras_loss",
    "Linear": "vae.schedules",
    "MaximumMeanDiscrepancy": "vae.kl.batch",
    "MonteCarlo": "vae.kl.monte_carlo",
    "Raw": "vae.kl.raw",
    "Renyi": "vae.kl.divergences",
    "TotalCorrelation": "vae.kl.batch",
}


class Configurable:
    """A class whose constructor checks its arguments and keeps each in an attribute of the same name.

    The annotations of the constructor are the schema (`vae.options`). A subclass is registered with Keras when it is
    defined, so that `keras.models.load_model` finds it once its module has been imported.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        register(cls)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments by name, each read from the attribute of the same name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return a new object from the result of `get_config`."""
        return cls(**config)


def register(cls: Class) -> Class:
    """Register a class with Keras, let its constructor check its arguments, and return the class.

    A class of this project is registered as `vae>Name` wherever it lives, any other class as `its.module>Name`.
    """
    if "__init__" in vars(cls):
        cls.__init__ = checked(vars(cls)["__init__"])  # type: ignore[misc]
    ours = cls.__module__.split(".")[0] == "vae"
    keras.saving.register_keras_serializable(package="vae" if ours else cls.__module__)(cls)
    if ours and cls.__name__ in _PACKAGES_OF_0_1_0:
        keras.saving.get_custom_objects()[f"{_PACKAGES_OF_0_1_0[cls.__name__]}>{cls.__name__}"] = cls
    return cls
