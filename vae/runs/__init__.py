"""Everything about a run directory: paths, files, names of quantities, the identity of a run, loading.

Nothing here needs TensorFlow. `import vae.runs` alone is light: a name is resolved on first use, and `load_runs` alone
loads pandas.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
