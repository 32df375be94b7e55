"""Data sets, and the batches and chunks of images that training and evaluation read from them.

`import vae.data` alone is light: a name is resolved, and TensorFlow loaded, on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
