"""Objects that a saved model rebuilds from their constructor's arguments."""

import inspect
from typing import Any, Self

import keras


class Configurable:
    """Gives a class a Keras configuration: one attribute for every argument of its constructor.

    A subclass is registered with Keras when it is defined, so that `keras.models.load_model` finds it once its module
    has been imported.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(package=cls.__module__)(cls)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments by name, each read from the attribute of the same name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new object from what `get_config` returned."""
        return cls(**config)
