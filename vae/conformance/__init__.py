"""The conformance suite: a comparison of a KL regularizer, ours or a user's, with the contract of `vae.kl`.

`import vae.conformance` alone is light: a name is resolved, and TensorFlow loaded, on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
