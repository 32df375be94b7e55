from .command import assert_conforms as assert_conforms
from .command import run_checks as run_checks
from .suite import CheckResult as CheckResult
