"""What happens around the optimizer's steps: the audit, what a run records, checkpoints, the progress bar."""

from vae.training.checkpoints import Progress, checkpoints, latest_checkpoint, save_model, trained_model
from vae.training.fit import fit
from vae.training.record import RunRecord
from vae.training.report import show_outcome
from vae.training.strategies import build_strategy

__all__ = [
    "Progress",
    "RunRecord",
    "build_strategy",
    "checkpoints",
    "fit",
    "latest_checkpoint",
    "save_model",
    "show_outcome",
    "trained_model",
]
