"""The evaluation of a trained model: its likelihood, inference gap and mutual information, in numbers and pictures.

`import vae.evaluation` alone is light: a name is resolved, and TensorFlow loaded, on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
