"""The command line: arguments, errors, sweeps and resume."""

from vae.cli.beginning import begun_run
from vae.cli.command import call, compose, main
from vae.cli.config_source import CONFIGS
from vae.cli.outcome import show_outcome
from vae.cli.preflight import Preflight
from vae.cli.resume import measured_run, shared_facts
from vae.cli.run import (
    check_configuration,
    choices,
    description_of_run,
    facts_of_run,
    is_finished_run_of_sweep,
    reported_errors,
    run_directory,
)
from vae.cli.sweeps import shared_programs

__all__ = [
    "CONFIGS",
    "Preflight",
    "begun_run",
    "call",
    "check_configuration",
    "choices",
    "compose",
    "description_of_run",
    "facts_of_run",
    "is_finished_run_of_sweep",
    "main",
    "measured_run",
    "reported_errors",
    "run_directory",
    "shared_facts",
    "shared_programs",
    "show_outcome",
]
