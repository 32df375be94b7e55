from .measurement import weigh as weigh
from .part import Part as Part
from .report import Report as Report
