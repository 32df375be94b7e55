"""What pyproject.toml cannot say: a checkout has `configs/` beside the package, an installed package has it inside."""

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
