"""The configuration of a sweep, composed as the command line composes it, and the plugins for its launchers."""

import contextlib
from collections.abc import Iterator, Sequence

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig

from vae.cli import config_source

EXTRA = "needs the extra 'sweep': pip install '.[sweep]'"
PLUGINS = {
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "submitit_local": "hydra_plugins.hydra_submitit_launcher",
    "submitit_slurm": "hydra_plugins.hydra_submitit_launcher",
    "ray": "hydra_plugins.hydra_ray_launcher",
}


@contextlib.contextmanager
def sweep_config(options: Sequence[str]) -> Iterator[DictConfig]:
    """Yield the configuration of a sweep into the folder `sweep`, with the node `hydra`, while Hydra is initialized."""
    set_by_hydra = ["hydra.mode=MULTIRUN", "hydra.job.name=train", "hydra.sweep.dir=sweep"]
    GlobalHydra.instance().clear()
    config_source.register()
    with initialize_config_dir(config_source.CONFIGS, version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        yield loader.load_configuration("train", [*options, *set_by_hydra], RunMode.MULTIRUN)
