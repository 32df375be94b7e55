"""The command `python -m vae.kl.check`; the suite itself is `vae.conformance`."""

import sys

from vae.conformance import assert_conforms, run_checks
from vae.conformance.command import main

__all__ = ["assert_conforms", "main", "run_checks"]

if __name__ == "__main__":
    sys.exit(main())
