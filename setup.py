"""Package `configs/`, which lies beside the package in a checkout and inside it once it is installed."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Copies `configs/` into the built package; an editable install reads it where it is."""

    def run(self) -> None:
        """Copy the modules, then the configuration."""
        super().run()
        if not self.editable_mode:
            self.copy_tree("configs", str(Path(self.build_lib, "vae", "configs")))


setup(cmdclass={"build_py": BuildWithConfigs})
