"""Objects that a saved model rebuilds from the arguments of their constructor."""

import inspect
from typing import Any, Self

import keras

from vae.options import checked


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


def register(cls: type) -> None:
    """Register a class with Keras, and let its constructor check its arguments.

    A class of this project is registered as `vae>Name` wherever it lives, another one as `its.module>Name`.
    """
    if "__init__" in vars(cls):
        cls.__init__ = checked(vars(cls)["__init__"])  # type: ignore[misc]
    package = "vae" if cls.__module__.split(".")[0] == "vae" else cls.__module__
    keras.saving.register_keras_serializable(package=package)(cls)
