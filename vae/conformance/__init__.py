"""The conformance suite: holds a KL regularizer, ours or a user's, against the contract of `vae.kl.KLRegularizer`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
