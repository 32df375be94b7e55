"""Variational autoencoders for TensorFlow whose KL regularizer is swappable and audited.

`import vae` alone is light: a public name is resolved, and TensorFlow loaded, when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae.errors import UserError
    from vae.model import VAE

__version__ = "0.1.0"
__all__ = ["VAE", "UserError", "__version__"]

_HOME = {"VAE": "vae.model", "UserError": "vae.errors"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'vae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
