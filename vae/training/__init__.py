"""Training: the loop, its options, and the callbacks that measure and record a run. Names resolve lazily."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
