from .fitting import Fit as Fit
from .formulas import Likelihood as Likelihood
from .measurement import weigh as weigh
from .part import Part as Part
from .reduction import Reduction as Reduction
from .reduction import Sizes as Sizes
from .report import Report as Report
