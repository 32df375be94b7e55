"""Comparison of runs: a table, paired differences, plots and one HTML page. Reads files only, needs no TensorFlow.

`import vae.compare` alone is light: a name is resolved, and pandas loaded, on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
