"""The source of Hydra's configuration: YAML files, completed by the defaults of the class that each names.

A class states its defaults once, in its constructor. A YAML file needs only `_target_` and the values that differ, and
`kl=my_module.MyKL` chooses a class without any file.
"""

import copy
import functools
import re
from pathlib import Path
from typing import ClassVar

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

import vae
from vae.config.groups import GROUPS
from vae.errors import UserError
from vae.named_paths import is_file, is_folder

_PACKAGE = Path(vae.__file__).parent
#: The folder of the configuration: in an installed package where the build puts it, in a checkout beside the package
CONFIGS = str(next(path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir()))
_CLASS = re.compile(r"(?P<group>\w+)/(?P<target>[^\W\d]\w*(\.[^\W\d]\w*)+)")


class CompletedFiles(ConfigSource):
    """A folder of YAML files, each completed by the defaults of its class."""

    @staticmethod
    def scheme() -> str:
        """Return the scheme of a search path that leads here."""
        return "completed"

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the content of a file, or of a class that stands in place of one, with its defaults."""
        file = self._file(config_path)
        written = file.stat().st_mtime_ns if is_file(file) else None
        config, header = copy.deepcopy(_completed(file, config_path, written))  # Hydra changes what it gets
        return ConfigResult(provider=self.provider, path=self.full_path(), config=config, header=header)

    def available(self) -> bool:
        """Return True if the folder exists."""
        return is_folder(self.path)

    def is_group(self, config_path: str) -> bool:
        """Return True if the path is a folder."""
        return is_folder(Path(self.path) / config_path)

    def is_config(self, config_path: str) -> bool:
        """Return True if the path is a file, or a group with a class in place of an option's name."""
        return is_file(self._file(config_path)) or _target(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return the options and the groups of a folder."""
        names: list[str] = []
        folder = Path(self.path) / config_path
        for path in folder.iterdir() if is_folder(folder) else ():
            self._list_add_result(names, f"{config_path}/{path.name}".lstrip("/"), path.name, results_filter)
        return sorted(set(names))

    def _file(self, config_path: str) -> Path:
        return Path(self.path) / self._normalize_file_name(config_path)


def _target(config_path: str) -> str | None:
    """Return the class that stands in place of an option's name."""
    match = _CLASS.fullmatch(config_path)
    is_class = match and match["group"] in GROUPS and not match["target"].endswith(".yaml")
    return match["target"] if match and is_class else None


@functools.lru_cache(maxsize=1024)
def _completed(file: Path, config_path: str, written: int | None) -> tuple[DictConfig, dict[str, str | None]]:
    """Return the content and the header of an option. Hydra asks for each several times in every composition.

    Args:
        file: the file that may hold it.
        config_path: the option with its group.
        written: when the file was last written; None if there is none.
    """
    if written is not None:
        text = file.read_text(encoding="utf-8")
        config, header = DictConfig(OmegaConf.create(text)), ConfigSource._get_header_dict(text)
    elif target := _target(config_path):
        config, header = DictConfig({"_target_": target}), {"package": None}
    else:
        raise ConfigLoadError(f"Config not found: {file}")
    name = config_path.partition("/")[0]
    if (group := GROUPS.get(name)) and not group.many:
        target = config.get("_target_", group.target)
        if target or _target(config_path):
            try:
                defaults = {"_target_": target} if "_target_" in config else {}
                config = DictConfig(OmegaConf.merge(defaults | group.defaults(target), config))
            except UserError as error:
                raise UserError(f"{name}={error}") from None
    return config, header


class CompletedSearchPath(SearchPathPlugin):
    """Puts the completed files before Hydra's own search path."""

    folders: ClassVar[list[str]] = [CONFIGS]

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Prepend every folder."""
        for folder in self.folders:
            search_path.prepend("vae", f"{CompletedFiles.scheme()}://{folder}")


def register() -> None:
    """Register the source, the search path and the arithmetic of the recipes with Hydra."""
    OmegaConf.register_new_resolver("quotient", lambda number, divisor: number / divisor, replace=True)
    Plugins.instance().register(CompletedFiles)
    Plugins.instance().register(CompletedSearchPath)
