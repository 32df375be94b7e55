"""Command lines of train.py that are wrong, or may be: what hypothesis draws for tests/cli/test_fuzzing.py."""

import functools
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st
from omegaconf import OmegaConf

from vae.cli import CONFIGS
from vae.config.groups import GROUPS, TRAIN


@dataclass(frozen=True)
class CommandLine:
    """Arguments of train.py, and the words of which a refusal must have one: what the user wrote that is wrong."""

    arguments: list[str]
    names: list[str]

    def __add__(self, other: "CommandLine") -> "CommandLine":
        return CommandLine([*self.arguments, *other.arguments], [*self.names, *other.names])


HUGE = "9" * 30
LONG = "x" * 5000
NUMBERS = ["-1", "0", "-0.0", "1", "2", "0.5", "1.0", "1e3", "1e-400", "1e300", "1e400", "nan", "inf", "-inf", "1_0"]
NUMBERS += ["0x10", "2147483648", "4294967296", "9223372036854775808", HUGE, f"-{HUGE}", "1000000000"]
TEXTS = [
    "",
    " ",
    "null",
    "None",
    "true",
    "off",
    "wide",
    "'",
    '"',
    "''",
    "'a",
    "\\",
    "#",
    "é",
    "😀",
    "\u202eabc",
    "\u200b",
]
TEXTS += ["a\nb", "\t", "\x1b[31mred", "\x7f", LONG, "a b", "a=b", "=", "~", "-", "--help", "../..", "/", ".", "\ufeff"]
CONTAINERS = ["[]", "{}", "[null]", "[1,[2]]", "[1,two]", "[0]", "[-1]", "[1.5]", f"[{HUGE}]", "[1,2,3]", "[8,8,1]"]
CONTAINERS += [
    "{a:1}",
    "{_target_:os.system}",
    "{_target_:vae.kl.Analytic}",
    "{a:{b:{c:[1]}}}",
    "[",
    "{",
    "]",
    "[1,,2]",
]
CONTAINERS += ["{_target_:keras.optimizers.schedules.ExponentialDecay}", "{_target_:3}", "[" * 50 + "]" * 50]
REFERENCES = ["${seed}", "${nothing}", "${kl}", "${}", "${", "$", "${oc.env:VAE_NOWHERE}", "${nothing:1}", "???"]
REFERENCES += ["${quotient:1,0}", "${quotient:a,b}", "${.}", "${..}", "${hydra:runtime.cwd}", "${oc.decode:'['}"]
SWEEPS = ["1,2", "choice(1,2)", "range(1,3)", "glob(*)", "interval(0,1)", "shuffle(1,2)", "tag(a,1)", "int(x)"]
CLASSES = ["", "3", "MyKL", ".", "a..b", "os.system", "os", "vae", "vae.kl", "vae.kl.Nothing", "nowhere.Class", "é.è"]
CLASSES += [
    "vae.kl.KLRegularizer",
    "vae.kl.Analytic",
    "vae.kl.base.DirectedKL",
    "vae.data.DataSource",
    "vae.data.ImageSource",
]
CLASSES += ["keras.optimizers.Optimizer", "keras.optimizers.SGD", "keras.callbacks.Callback", "keras.layers.Dense"]
CLASSES += ["vae.latents.LatentFamily", "vae.latents.VampPrior", "vae.networks.Networks", "vae.objectives.Objective"]
CLASSES += [
    "collections.OrderedDict",
    "builtins.dict",
    "train.train",
    "vae.schedules.Schedule",
    "vae.likelihoods.Likelihood",
]
SYNTAX = [
    "=",
    "=1",
    "~",
    "+",
    "++",
    "~~kl",
    "+=1",
    "a",
    "kl",
    "kl=",
    "kl=a=b",
    "kl.=1",
    ".kl=1",
    "kl..points=1",
    "kl[0]=1",
]
SYNTAX += [
    "kl@=analytic",
    "kl@x=analytic",
    "@=1",
    "kl/analytic=1",
    "kl:points=1",
    "hydra=1",
    "hydra.run=1",
    "hydra.mode=3",
]
SYNTAX += ["hydra.run.dir=", "hydra.run.dir=[]", "hydra.run.dir=null", "hydra.callbacks=null", "hydra/launcher=nothing"]
SYNTAX += ["hydra.job.name=[]", "hydra.sweeper=null", "hydra.output_subdir=3", "hydra/job_logging=nothing", "~hydra"]
SYNTAX += [
    "--nonsense",
    "-x",
    "--cfg",
    "--cfg=nothing",
    "--package",
    "--config-name=nothing",
    "--config-name",
    "--run=3",
]
SYNTAX += ["--config-path=nowhere", "--config-dir=nowhere", "--config-dir", "--info=nothing", "--multirun=3", "-cd"]
SYNTAX += ["--experimental-rerun=nowhere", "--", "-", "---", "trainer.epochs", "trainer.epochs 3", "trainer.epochs:3"]


@functools.cache
def options() -> dict[str, str]:
    """Every option that a file of configs/ shows, and the argument that chooses its file: the composed tree."""
    found = dict.fromkeys(TRAIN, "")
    for path in sorted(Path(CONFIGS).glob("*/*.yaml")):
        name, group = path.parent.name, GROUPS.get(path.parent.name)
        if group is not None and not group.many and "_target_" in (node := OmegaConf.load(path)):
            found |= {f"{name}.{option}": f"{name}={path.stem}" for option in group.shown_options(node["_target_"])}
    found |= {f"trainer.{option}": "" for option in GROUPS["trainer"].shown_options(GROUPS["trainer"].target)}
    found |= {f"audit.histogram.{name}": "audit=default" for name in ("direction", "support", "points")}
    found |= {"callbacks.early_stopping.patience": "callbacks=early_stopping", "beta.value": ""}
    return {name: "data=digits" if name.startswith("data.") else choice for name, choice in found.items()}


def groups() -> list[str]:
    return sorted(path.name for path in Path(CONFIGS).iterdir() if path.is_dir())


LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")  # which no argument of a process can have
WORDS = st.text(LETTERS, max_size=20)
VALUES = st.one_of(
    st.sampled_from([*NUMBERS, *TEXTS]),
    st.sampled_from([*CONTAINERS, *REFERENCES, *SWEEPS]),
    st.integers().map(str),
    st.floats().map(str),
    WORDS,
    st.lists(st.integers(-2, 300)).map(lambda items: str(items).replace(" ", "")),
)


def _choosing(name: str) -> list[str]:
    """The argument, if it needs one, by which there is such an option."""
    return [choice] if (choice := options()[name]) else []


def _setting(name: str, value: str) -> CommandLine:
    return CommandLine([*_choosing(name), f"{name}={value}"], [name, *_choosing(name)])


NAMES = st.deferred(lambda: st.sampled_from(sorted(options())))
SETTINGS = st.builds(_setting, NAMES, VALUES)
REFERRING = st.one_of(
    st.builds(_setting, NAMES, st.sampled_from(REFERENCES)),
    NAMES.map(lambda name: _setting(name, f"${{{name}}}")),
    st.tuples(NAMES, NAMES).map(
        lambda names: _setting(names[0], f"${{{names[1]}}}") + _setting(names[1], f"${{{names[0]}}}")
    ),
)


def _edited(name: str, place: int, letter: str) -> CommandLine:
    place %= len(name)
    edited = name[:place] + letter + name[place + 1 :]
    return CommandLine([f"{edited}=1"], [edited.removeprefix("~").removeprefix("+").partition("=")[0]])


UNKNOWN = st.one_of(
    st.builds(_edited, NAMES, st.integers(0, 40), st.text(LETTERS, max_size=2)),
    NAMES.map(lambda name: CommandLine([f"~{name}"], [name])),
    NAMES.map(lambda name: CommandLine([*_choosing(name), f"+{name}=1"], [name, *_choosing(name)])),
    NAMES.map(lambda name: CommandLine([*_choosing(name), f"{name}.further=1"], [name])),
    NAMES.map(lambda name: CommandLine([*_choosing(name), f"+{name}_more=1"], [f"{name}_more"])),
    st.sampled_from(groups()).map(lambda group: CommandLine([f"~{group}"], [group])),
)
CHOICES = st.builds(
    lambda group, form, value: CommandLine([form.format(group, value)], [group]),
    st.sampled_from([*groups(), "hydra/launcher", "hydra/sweeper"]),
    st.sampled_from(["{}={}", "+{}={}", "{}._target_={}", "+{}.further._target_={}", "{0}@{0}.further={1}"]),
    st.one_of(st.sampled_from([*CLASSES, *TEXTS, *CONTAINERS, *REFERENCES, *SWEEPS]), WORDS),
)
GARBAGE = st.one_of(st.sampled_from(SYNTAX), st.text(LETTERS, min_size=1)).map(
    lambda argument: CommandLine([argument], [argument.partition("=")[0].lstrip("+~-") or argument])
)
ANY = st.one_of(SETTINGS, REFERRING, UNKNOWN, CHOICES)
PAIRS = st.builds(lambda first, second: first + second, ANY, ANY)
SWEPT = st.builds(lambda line: CommandLine(["-m", *line.arguments], line.names), st.one_of(SETTINGS, UNKNOWN, CHOICES))
