"""The command line: arguments, errors, sweeps and resume."""

from vae.cli.command_line import Guard, main, reported, run_directory
from vae.cli.sweeps import is_done
from vae.config.build import build_audit, build_callbacks, build_kl, build_model, build_source, hyperparameters, kl_name
from vae.config.check import (
    evaluate_settings,
    flat,
    plain,
    run_configuration,
    run_summary,
    shared_facts,
    train_settings,
)
from vae.distributed.cluster import is_chief

__all__ = [
    "Guard",
    "build_audit",
    "build_callbacks",
    "build_kl",
    "build_model",
    "build_source",
    "evaluate_settings",
    "flat",
    "hyperparameters",
    "is_chief",
    "is_done",
    "kl_name",
    "main",
    "plain",
    "reported",
    "run_configuration",
    "run_directory",
    "run_summary",
    "shared_facts",
    "train_settings",
]
