"""The documentation: sphinx-build -W --keep-going -n -b html docs docs/_build/html. Strict, and needs no network."""

import os
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import inspect
from sphinx.util.logging import getLogger
from sphinx.writers.html5 import HTML5Translator

import vae

logger = getLogger(__name__)

project = "Which KL?"
version = release = vae.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.programoutput",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks are committed with their outputs
nb_merge_streams = True

default_role = "code"  # in docstrings, as in Markdown
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_rtype = False  # the words before a colon under "Returns" are not a type
autodoc_type_aliases = {"CheckResult": "vae.conformance.CheckResult"}
python_maximum_signature_line_length = 200  # of the types' full names
napoleon_use_ivar = True  # the attributes of a named tuple are also its members, which may not be described twice
_libraries = "keras|tensorflow|tf|numpy|pandas|pd|collections.abc|pathlib|matplotlib|annotated_types|pydantic|os|types"
nitpick_ignore_regex = [
    ("py:class|py:exc", rf"({_libraries})\..*"),  # cannot be resolved without a network
    ("py:class", r"vae\..*\._\w+"),  # checks in annotations
    ("py:class", r"vae\.data\.image_source\.ExampleRange"),  # what `ImageSource.ranges` returns, not public
]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_title = "Which KL?"
html_math_renderer = "mathml"
html_copy_source = False
html_show_copyright = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # program-output's python
os.environ["COLUMNS"] = "100"


def setup(app: Sphinx) -> None:
    """Render formulas as MathML, which browsers draw without a script, and adapt what autodoc shows."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-skip-member", _skip_fields)


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node, "inline"))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{_mathml(node, "block")}</div>\n')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, display: str) -> str:
    formula = convert(node.astext(), display=display)
    if "\\" in formula:  # a command that the converter does not know is left as it stands
        logger.warning("unknown command in the formula %s", node.astext(), location=node)
    return formula


def _signature(
    app: Sphinx, what: str, name: str, found: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Return the signature of `__init__` for a class that inherits from Keras a `__new__` that takes anything.

    A default that is made for each object, `<factory>`, is shown as `...`, or Sphinx could not parse the signature.
    """
    if what != "class":
        return None
    if signature != "(*args, **kwargs)":
        return signature.replace("<factory>", "..."), returns
    own = inspect.signature(found.__init__, bound_method=True)
    return inspect.stringify_signature(own, unqualified_typehints=True), returns


def _skip_fields(app: Sphinx, what: str, name: str, found: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, which their class's docstring describes."""
    return True if type(found).__name__ == "_tuplegetter" else None
