"""Data sets of TensorFlow Datasets (TFDS), prepared on first use."""

import contextlib
import difflib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import requests
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from vae.compat import few_download_retries
from vae.data import digits  # noqa: F401  (registers the builder)
from vae.errors import UserError, first_line, kind_and_first_line
from vae.named_paths import is_folder

PREPARING_FAILED = (
    requests.exceptions.RequestException,
    tfds.download.DownloadError,
    NonMatchingChecksumError,
    OSError,
    AssertionError,  # raised by TFDS if a file is missing from manual_dir
    ValueError,  # raised by TFDS for a version that it can read but not prepare
)


#: A data set of TFDS, perhaps of a namespace. TFDS would also take a path, and arguments of a builder
_NAME = re.compile(r"(?:\w+:)?\w+(?:/(?!\.+(?:/|:|$))[\w.+-]+)*(?::\d+(?:\.(?:\d+|\*)){2})?", re.ASCII)


def prepared_builder(name: str, directory: str | None, manual_dir: str | None) -> tfds.core.DatasetBuilder:
    """Return the builder of a data set whose files are ready to be read; prepare them if they are not.

    Args:
        name: the name in TFDS, which may have a configuration and a version: "name/configuration:1.0.0".
        directory: the folder of prepared data sets; None for TFDS's own default.
        manual_dir: a folder with the original files, to prepare from without a network.

    Raises:
        UserError: if the name is none, if the data set is unknown, has no images or cannot be prepared, or if a folder
            does not exist.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"data.name={name}: must be NAME, NAME/CONFIGURATION or NAME/CONFIGURATION:VERSION")
    _check_folder("data.dir", directory)
    _check_features(name, directory)
    builder = _builder(name, directory)
    features = builder.info.features
    named = features if isinstance(features, tfds.features.FeaturesDict) else {}
    if "image" not in named or not isinstance(named["image"], tfds.features.Image):
        raise UserError(f"data.name={name}: not an image set, it has no feature named image; data=mnist is one")
    if (dtype := np.dtype(named["image"].np_dtype)) != np.uint8:
        raise UserError(f"data.name={name}: its images are {dtype}, and must be uint8, from 0 to 255; store them so")
    if builder.is_prepared():
        return builder
    _check_folder("data.manual_dir", manual_dir)
    _prepare(builder, name, manual_dir)
    return _builder(name, directory)  # which knows the sizes of the splits


def root_folder(builder: tfds.core.DatasetBuilder) -> Path:
    """Return the folder of prepared data sets that holds a builder's own.

    `builder.data_dir_root` is another one if the builder was opened by its version.
    """
    depth = len(Path(builder.info.full_name).parts)  # name, configuration if there is one, version
    return Path(builder.data_dir).parents[depth - 1]


def _check_folder(option: str, folder: str | None) -> None:
    if folder is not None and not is_folder(folder):
        raise UserError(f"{option}={folder}: there is no such folder")


def _check_features(name: str, directory: str | None) -> None:
    """Refuse a prepared data set whose files name a module that TFDS would import to read it.

    Raises:
        UserError: naming the class; only classes of TFDS, and of modules that are loaded, are taken.
    """
    if directory is None:
        return
    wanted = _folded(re.split("[/:]", name)[0])
    folders = [folder for folder in Path(directory).iterdir() if _folded(folder.name) == wanted]
    for path in (path for folder in folders for path in folder.rglob("features.json")):
        for target in _feature_classes(json.loads(path.read_text(encoding="utf-8"))):
            module = target.rpartition(".")[0]
            if not module.startswith("tensorflow_datasets.") and module not in sys.modules:
                raise UserError(
                    f"data.dir={directory}: {path} names {target}; must be a feature of TensorFlow Datasets"
                )


def _folded(name: str) -> str:
    """Return the name of a data set without the differences that TFDS passes over: MyData and my_data."""
    return name.replace("_", "").lower()


def _feature_classes(node: Any) -> Iterator[str]:
    """Yield the classes that a features.json names, in its present and its earlier form."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("pythonClassName", "python_class_name", "type") and isinstance(value, str):
                yield value
            yield from _feature_classes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _feature_classes(value)


def _builder(name: str, directory: str | Path | None) -> tfds.core.DatasetBuilder:
    try:
        return tfds.builder(name, data_dir=directory)
    except tfds.core.DatasetNotFoundError:
        near = difflib.get_close_matches(name, tfds.list_builders(with_community_datasets=False), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "tensorflow_datasets.list_builders() lists them all"
        raise UserError(f"data.name={name}: TensorFlow Datasets has no such data set; {hint}") from None
    except (AssertionError, ValueError) as error:  # an unknown configuration or version
        raise UserError(f"data.name={name}: {first_line(error)}") from error


def _prepare(builder: tfds.core.DatasetBuilder, name: str, manual_dir: str | None) -> None:
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    root = root_folder(builder)
    config = tfds.download.DownloadConfig(
        manual_dir=manual_dir,
        # TFDS's default folder is keyed by file name alone: mnist's files would pass for fashion_mnist's
        extract_dir=str(root / "downloads" / "extracted" / builder.info.full_name),
    )
    try:
        with few_download_retries():
            builder.download_and_prepare(download_config=config)
    except PREPARING_FAILED as error:
        if _builder(name, root).is_prepared():
            return  # another process was faster
        _remove_empty_folders(Path(builder.data_dir).parent, root)
        raise UserError(
            f"data.name={name}: not prepared in {root}, and preparing it failed "
            f"({kind_and_first_line(error)}); give data.dir=DIR with the prepared data set, "
            "data.manual_dir=DIR with its original files, or a network"
        ) from error


def _remove_empty_folders(folder: Path, root: Path) -> None:
    """Remove a folder and its parents below `root` that TFDS left empty."""
    with contextlib.suppress(OSError):  # the first that is not empty
        while folder != root:
            folder.rmdir()
            folder = folder.parent
