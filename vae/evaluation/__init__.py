"""What a trained model is worth: bounds, active units, mutual information."""

from vae.evaluation.information import mutual_information
from vae.evaluation.likelihood import importance_weighted_nll
from vae.evaluation.measure import measure
from vae.evaluation.report import show_figures, with_progress

__all__ = [
    "importance_weighted_nll",
    "measure",
    "mutual_information",
    "show_figures",
    "with_progress",
]
