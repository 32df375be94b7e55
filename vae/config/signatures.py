"""The options of a class, read from its source without importing it, and so without loading TensorFlow.

A class states its options in the annotations and defaults of its constructor and describes them in the `Args` section
of its docstring (`vae.options`). Classes of users are read in the same way as those of this project.
"""

import ast
import functools
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

import docstring_parser

from vae.errors import UserError

REQUIRED = object()
_LAYER = "keras.src.layers.layer"  # whose own arguments, such as dtype, are not options
#: Modules that an annotation may name; anything else is left to the constructor's own check
_LIGHT = ("typing", "collections.abc", "annotated_types", "pydantic", "vae.options", "vae.kl.arguments")


@dataclass(frozen=True)
class Option:
    """One argument of a class's constructor.

    Args:
        name: the name of the argument.
        kind: its type, as `vae.options.check_option` takes it; `typing.Any` if it cannot be known without an import.
        default: the default, `REQUIRED` if there is none.
        description: the argument's entry in the docstring.
    """

    name: str
    kind: Any = Any
    default: Any = REQUIRED
    description: str = ""


@functools.cache
def options_of(target: str) -> dict[str, Option]:
    """Return the options of a class by name, in the order of its constructor.

    Args:
        target: the class with its module, such as "vae.kl.Backend" or "my_module.MyKL".

    Raises:
        UserError: if there is no such module, or no such class in it.
    """
    return {option.name: option for option in _read(*_find_class(target))}


def is_subclass(target: str, base: str) -> bool:
    """Return True if one class is or derives from another, as far as their sources tell.

    Raises:
        UserError: if one of them does not exist.
    """
    wanted = _find_class(base)[1]
    return any(definition is wanted for _, definition in _bases(*_find_class(target)))


@functools.cache
def summary_of(target: str) -> str:
    """Return the first sentence of a class's docstring."""
    _, definition = _find_class(target)
    text = ast.get_docstring(definition)
    return (text or "").partition("\n\n")[0].replace("\n", " ")


class _Source:
    """The parsed source of a module, which is not imported."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.is_package = path.stem == "__init__"
        stub = path.with_suffix(".pyi")  # a package whose names resolve lazily lists them there
        self.tree = ast.parse((stub if stub.exists() else path).read_text(encoding="utf-8"))

    def origin(self, statement: ast.ImportFrom) -> str:
        """Return the name of the module that a statement imports from."""
        if not statement.level:
            return statement.module or ""
        package = self.name.split(".")[: None if self.is_package else -1]
        package = package[: len(package) - statement.level + 1]
        return ".".join([*package, *([statement.module] if statement.module else [])])

    def definition(self, name: str) -> ast.stmt | None:
        """Return the statement that binds a name at the top of the module: a class, an assignment or an import."""
        found = None
        for statement in self.tree.body:
            if isinstance(statement, ast.ClassDef):
                names = [statement.name]
            elif isinstance(statement, ast.Assign):
                names = [ast.unparse(target) for target in statement.targets]
            elif isinstance(statement, ast.ImportFrom):
                names = [alias.asname or alias.name for alias in statement.names]
            else:
                continue
            found = statement if name in names else found
        return found

    def resolve(self, name: str) -> "tuple[_Source, ast.ClassDef | ast.Assign] | None":
        """Return the class or alias that a name stands for, and the module that defines it."""
        definition = self.definition(name)
        if isinstance(definition, ast.ClassDef | ast.Assign):
            return self, definition
        if isinstance(definition, ast.ImportFrom):
            module = _source(self.origin(definition))
            original = next(alias.name for alias in definition.names if name in (alias.asname, alias.name))
            return module.resolve(original) if module else None
        return None


@functools.cache
def _source(name: str) -> _Source | None:
    """Return the source of a module, or None if there is none to read; parents are not imported."""
    locations, spec = None, None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:end]), locations) or _editable_spec(".".join(parts[:end]))
        if spec is None:
            return None
        locations = spec.submodule_search_locations
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return _Source(name, Path(spec.origin))


def _editable_spec(name: str) -> ModuleSpec | None:
    """Return the spec of a top-level module that only an import hook finds, as those of editable installs."""
    return importlib.util.find_spec(name) if "." not in name else None


def _find_class(target: str) -> tuple[_Source, ast.ClassDef]:
    module_name, _, name = target.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in target.split(".")):
        raise UserError(f"{target}: must be a class with its module, as package.Class")
    module = _source(module_name)
    if module is None:
        raise UserError(f"{target}: there is no module {module_name}, neither in this folder nor installed")
    found = module.resolve(name)
    if found is None or not isinstance(found[1], ast.ClassDef):
        raise UserError(f"{target}: there is no class {name} in {module_name}")
    return found[0], found[1]


def _bases(module: _Source, definition: ast.ClassDef) -> Iterator[tuple[_Source, ast.ClassDef]]:
    """Yield a class and its bases, as far as they can be found."""
    yield module, definition
    for base in definition.bases:
        name = ast.unparse(base)
        found = module.resolve(name) if "." not in name else None
        if found is None and "." in name:
            with_module = _imported_module(module, name.rpartition(".")[0])
            found = with_module.resolve(name.rpartition(".")[2]) if with_module else None
        if found is not None and isinstance(found[1], ast.ClassDef):
            yield from _bases(found[0], found[1])


def _imported_module(module: _Source, name: str) -> _Source | None:
    """Return the module that a dotted name such as `keras.layers` stands for in another module."""
    first, _, rest = name.partition(".")
    for statement in module.tree.body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if (alias.asname or alias.name.partition(".")[0]) == first:
                    return _source(".".join(filter(None, [alias.name if alias.asname else first, rest])))
        elif isinstance(statement, ast.ImportFrom) and module.definition(first) is statement:
            return _source(".".join(filter(None, [module.origin(statement), first, rest])))
    return None


def _read(module: _Source, definition: ast.ClassDef) -> Iterator[Option]:
    described: dict[str, str] = {}
    for owner, each in _bases(module, definition):
        if owner.name == _LAYER:
            return
        described = _descriptions(each) | described
        if _constructor(each) is not None or _is_dataclass(each):
            for name, annotation, default in _arguments(each):
                yield Option(name, _kind(owner, annotation), _value(owner, default), described.get(name, ""))
            return


def _descriptions(definition: ast.ClassDef) -> dict[str, str]:
    try:
        docstring = docstring_parser.parse(ast.get_docstring(definition) or "", docstring_parser.DocstringStyle.GOOGLE)
    except docstring_parser.ParseError:  # another library's style
        return {}
    entries = [entry for entry in docstring.params if entry.args[0] == "param"]
    return {entry.arg_name: " ".join((entry.description or "").split()) for entry in entries}


def _constructor(definition: ast.ClassDef) -> ast.FunctionDef | None:
    functions = (item for item in definition.body if isinstance(item, ast.FunctionDef))
    return next((function for function in functions if function.name == "__init__"), None)


def _is_dataclass(definition: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in definition.decorator_list)


def _arguments(definition: ast.ClassDef) -> Iterator[tuple[str, ast.expr | None, ast.expr | None]]:
    """Yield name, annotation and default of every argument of a class's own constructor."""
    constructor = _constructor(definition)
    if constructor is None:
        if _is_dataclass(definition):
            for item in definition.body:
                if isinstance(item, ast.AnnAssign):
                    yield ast.unparse(item.target), item.annotation, item.value
        return
    positional = [*constructor.args.posonlyargs, *constructor.args.args]
    missing = [None] * (len(positional) - len(constructor.args.defaults))
    pairs = [
        *zip(positional, [*missing, *constructor.args.defaults], strict=True),
        *zip(constructor.args.kwonlyargs, constructor.args.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        if argument.arg != "self":
            yield argument.arg, argument.annotation, default


def _value(module: _Source, default: ast.expr | None) -> Any:
    if default is None:
        return REQUIRED
    try:
        value = _evaluate(module, default)
    except Exception:  # a default that only an import could tell
        return REQUIRED
    return list(value) if isinstance(value, tuple) else value  # as YAML has it


def _kind(module: _Source, annotation: ast.expr | None) -> Any:
    if annotation is None:
        return Any
    try:
        return _evaluate(module, annotation)
    except Exception:  # a type that only an import could tell
        return Any


def _evaluate(module: _Source, expression: ast.expr) -> Any:
    """Return the value of an annotation or a default, whose names are looked up in its module."""
    names = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
    values = {name: value for name in names if (value := _named(module, name)) is not None}
    return eval(ast.unparse(expression), values)  # source that the command line names, or this project's


def _named(module: _Source, name: str) -> Any:
    definition = module.definition(name)
    if isinstance(definition, ast.ImportFrom) and module.origin(definition) in _LIGHT:
        original = next(alias.name for alias in definition.names if name in (alias.asname, alias.name))
        return getattr(importlib.import_module(module.origin(definition)), original)
    found = module.resolve(name)
    if found is not None and isinstance(found[1], ast.Assign):
        return _evaluate(found[0], found[1].value)
    return None
