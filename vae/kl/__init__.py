"""The KL regularizers: a base class and one short file per implementation; `divergence` for probability vectors.

`import vae.kl` alone is light: a name is resolved, and TensorFlow loaded, on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
