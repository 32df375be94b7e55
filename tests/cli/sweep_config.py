"""The configuration of a sweep, composed as the command line composes it."""

import contextlib
from collections.abc import Iterator, Sequence

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig

from vae.cli import config_source


@contextlib.contextmanager
def sweep_config(options: Sequence[str]) -> Iterator[DictConfig]:
    """Yield the configuration of a sweep into the folder `sweep`, with the node `hydra`, while Hydra is initialized."""
    GlobalHydra.instance().clear()
    config_source.register()
    with initialize_config_dir(config_source.CONFIGS, version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        yield loader.load_configuration("train", [*options, "hydra.sweep.dir=sweep"], RunMode.MULTIRUN)
