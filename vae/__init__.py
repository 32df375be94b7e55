"""Variational autoencoders for TensorFlow whose KL regularizer is swappable and audited.

`import vae` alone is light: a public name is resolved, and TensorFlow loaded, on first use.
"""

import lazy_loader

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
