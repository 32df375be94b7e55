"""What a VAE loss of any framework really weighs: `python -m vae.weigh my_code.py:loss`.

`import vae.weigh` alone is light: a name is resolved on first use, and a framework is loaded only if the loss needs it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
