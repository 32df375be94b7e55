"""`--help`, whose list of options is made from the classes that have them.

Hydra's own help would compose the configuration and copy all of it for every group, which takes a second.
"""

import os
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any, Literal

from omegaconf import OmegaConf

from vae import invocation
from vae.cli.config_source import CONFIGS, CompletedSearchPath
from vae.config.groups import DATA_OF_EVALUATE, EVALUATE, GROUPS, TRAIN, Group
from vae.config.signatures import REQUIRED, Option, summary_of
from vae.options import shown

_NAME_WIDTH = 46
_WIDTH = 118
_INTERNAL = {"images_of"}  # groups that other groups choose
_TRAIN_HELP = Template("""\
Train a variational autoencoder (VAE) on real images. One word chooses the KL regularizer, and every run is measured
on the same scale.

To begin with:
  $train                          handwritten digits, no download, the exact KL: a quarter of a minute
  $train kl=keras_loss            the same VAE under the Keras loss class
  $train data=mnist model=conv    MNIST (downloaded once), convolutional networks
  $train -m experiment=kl_study   which KL? four of them over five seeds, compared at the end
  $train resume=RUN_DIR           go on where that run stopped

== Groups: choose with GROUP=OPTION ==

$groups

== Options: change with NAME=VALUE ==

$options

== More commands ==

  $train kl=backend kl.direction=reverse    Keras's functional op, D[p||q]
  $train latent=categorical kl=backend      discrete latent variables, for which Keras's function is exact
  $train prior=vamp kl=monte_carlo          a learned prior
  $train kl=my_module.MyKL kl.alpha=2       a class of your own, in any group
  $train experiment=recipe/old_keras_blog   what a well-known recipe really trains
  $train -m kl=analytic,backend seed=0,1,2  a sweep: every combination, a run directory each
  $train -m hydra/launcher=joblib seed=0,1  several at a time; also submitit_local, ray, submitit_slurm
  $train -m experiment=search               a search with Optuna over beta and the number of latent variables
Another regularizer in the audit: +kl@audit.NAME=OPTION
A run's directory: hydra.run.dir=DIR (default runs/DATE/TIME-KL-SEED). A sweep's: hydra.sweep.dir=DIR; an existing one
continues.
Tab completion in bash: eval "$$($train --shell-completion install=bash)"

Measure a run: $evaluate run=RUN_DIR.   Watch its curves: tensorboard --logdir runs
Compare runs: $compare DIR --out DIR
Show the composed configuration without training: add --cfg job.   Hydra's own options: --hydra-help""")
_EVALUATE_HELP = Template("""\
Measure a trained VAE: ELBO, importance-sampled NLL, KL per latent variable, active units.

$evaluate run=runs/DATE/TIME-analytic-0
$evaluate run=RUN_DIR nll_samples=5000
$evaluate run=RUN_DIR gap_images=100    also the gaps between ELBO and log p(x)

== Options: change with NAME=VALUE ==

$options

Writes evaluation.json, reconstructions.png and samples.png into the run's directory.""")


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Return True if a command line asks for help."""
    return not {"--help", "-h"}.isdisjoint(arguments)


def help_text(command: str, arguments: Sequence[str]) -> str:
    """Return the help of a command.

    Args:
        command: "train" or "evaluate".
        arguments: the arguments beside `--help`, which may name classes of the user's.

    Raises:
        UserError: if an argument names a class that does not exist.
    """
    calls = {name: invocation.call(name) for name in ("train", "evaluate", "compare")}
    if command == "evaluate":
        return _EVALUATE_HELP.substitute(calls, options=_options_of_evaluate())
    return _TRAIN_HELP.substitute(calls, groups=_groups(), options=_options_of_train(arguments))


def _groups() -> str:
    """Return every group with its options, those of `--config-dir` included."""
    options: dict[str, set[str]] = {}
    for root in CompletedSearchPath.folders:
        for folder, _, files in os.walk(root):
            name = Path(folder).relative_to(root).as_posix()
            if name != "." and name not in _INTERNAL:
                options.setdefault(name, set()).update(Path(file).stem for file in files if file.endswith(".yaml"))
    return "\n".join(f"{name}: {', '.join(sorted(options[name]))}" for name in sorted(options))


def _options_of_evaluate() -> str:
    data = {
        name: Option(name, str | None, None, "of a data set that has moved; null for the run's own")
        for name in DATA_OF_EVALUATE
    }
    return "\n".join([*_lines("", EVALUATE), *_lines("data.", data)])


def _options_of_train(arguments: Sequence[str]) -> str:
    lines = [*_lines("", TRAIN)]
    for name, group in GROUPS.items():
        listed: dict[str, Any] = {}
        for title, target, values in _choices(name, group, arguments) if not group.many else ():
            lines += ["", f"{title}: {summary_of(target)}" if target else title]
            options = _shown_options(group, target, values)
            repeated = [key for key, option in options.items() if listed.get(key) == option.kind]
            lines += _lines(f"{name}.", {key: option for key, option in options.items() if key not in repeated})
            if repeated:
                words = ", ".join(f"{name}.{key}" for key in repeated)
                lines += textwrap.wrap(f"also {words}", _WIDTH, initial_indent="  ", subsequent_indent="  ")
            listed |= {key: option.kind for key, option in options.items()}
    return "\n".join(lines)


def _shown_options(group: Group, target: str | None, values: Mapping[str, Any]) -> dict[str, Option]:
    """Return the options of a class, with the defaults that a file gives in place of the class's own."""
    options = group.shown_options(target)
    return {name: replace(option, default=values.get(name, option.default)) for name, option in options.items()}


def _choices(name: str, group: Group, arguments: Sequence[str]) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    """Yield a title, the class and the values of every option of a group, each class once."""
    found: set[str | None] = set()
    for argument in arguments:  # a user's class, such as `kl=my_module.MyKL`
        if argument.startswith(f"{name}=") and "." in argument:
            yield argument, argument.partition("=")[2], {}
    for path in sorted((Path(CONFIGS) / name).glob("*.yaml")):
        values: Any = OmegaConf.to_container(OmegaConf.load(path))
        target = values.get("_target_", group.target)
        if target not in found and (target or group.own):
            found.add(target)
            yield f"{name}={path.stem}" if group.target is None else name, target, values


def _lines(prefix: str, options: Mapping[str, Option]) -> Iterator[str]:
    for option in options.values():
        name = f"  {prefix}{option.name}={_type(option.kind)}"
        default = "" if option.default in (REQUIRED, None, "???") else f" (default {shown(option.default)})"
        words = _wrapped(f"{option.description}{default}".strip())
        first = f"{name:{_NAME_WIDTH}}  " if len(name) <= _NAME_WIDTH else f"{name}\n{'':{_NAME_WIDTH}}  "
        yield first + f"\n{'':{_NAME_WIDTH}}  ".join(words)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text.replace("$", ""), _WIDTH - _NAME_WIDTH) or [""]


def _type(kind: Any) -> str:
    """Return a type as the values that a user may give."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return _type(typing.get_args(kind)[0])
    if origin in (types.UnionType, typing.Union):
        return "|".join(dict.fromkeys(_type(part) for part in typing.get_args(kind)))
    if origin is Literal:
        return "|".join(map(str, typing.get_args(kind)))
    if origin in (list, tuple):
        return f"[{_type(typing.get_args(kind)[0])},...]"
    names = {int: "N", float: "NUMBER", str: "TEXT", bool: "true|false", type(None): "null"}
    return names.get(kind, "VALUE")
