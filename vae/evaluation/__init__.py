"""What a trained model is worth: bounds, active units, mutual information."""

from vae.evaluation.evaluator import measure
from vae.evaluation.importance_sampling import importance_weighted_nll
from vae.evaluation.information import mutual_information
from vae.evaluation.tables import show_figures, with_progress

__all__ = [
    "importance_weighted_nll",
    "measure",
    "mutual_information",
    "show_figures",
    "with_progress",
]
