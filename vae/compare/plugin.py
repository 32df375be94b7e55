"""A tab of TensorBoard that compares the runs below the log directory, while they train.

TensorBoard finds it by the entry point `tensorboard_plugins` of this package. Reads the runs' own files, and needs no
TensorFlow.
"""

import hashlib
import math
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from tensorboard.backend.http_util import Respond
from tensorboard.plugins import base_plugin
from werkzeug.wrappers import Request

from vae.compare.margin import MARGIN, margin_from
from vae.compare.reading import ComparisonReader
from vae.errors import UserError
from vae.runs.loading import file_signature, signature_of
from vae.runs.paths import find_runs

if TYPE_CHECKING:
    from vae.compare.comparison import Comparison

_TYPES = {".js": "text/javascript", ".css": "text/css"}
_ASSETS = ("tab.js", "charts.js", "style.css", "d3.min.js", "plot.umd.min.js")
_SECONDS_BETWEEN_SEARCHES = 10.0


class _Query(NamedTuple):
    """The choices made in the tab; no baseline is the default one."""

    baseline: str | None
    quantity: str
    margin: float


class ComparisonPlugin(base_plugin.TBPlugin):
    """The tab "Comparison".

    Args:
        context: what TensorBoard tells its plugins; of it, the log directory.
    """

    plugin_name = "vae_comparison"

    def __init__(self, context: base_plugin.TBContext) -> None:
        self._directory = Path(context.logdir) if context.logdir else None
        self._lock = threading.Lock()
        self._has_runs, self._searched = False, -math.inf
        self._signature: str = ""
        self._reader = ComparisonReader(self._directory)
        self._compared: Comparison | None = None
        self._answers: dict[_Query, dict[str, Any]] = {}

    def is_active(self) -> bool:
        """Return whether there is a run to compare, or a mistake to name. Looks every ten seconds until there is."""
        now = time.monotonic()
        if not self._has_runs and self._directory and now - self._searched > _SECONDS_BETWEEN_SEARCHES:
            try:
                self._has_runs = next(find_runs(self._directory), None) is not None
            except UserError:
                self._has_runs = True
            self._searched = now
        return self._has_runs

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """Return the tab's name and its module."""
        return base_plugin.FrontendMetadata(es_module_path="/tab.js", tab_name="Comparison", disable_reload=True)

    def get_plugin_apps(self) -> dict[str, Callable[..., Any]]:
        """Return what answers each address: the tab's own files, and the comparison as JSON."""
        served = {name: partial(_serve_asset, name) for name in _ASSETS} | {"comparison": self._serve_comparison}
        return {f"/{name}": Request.application(serve) for name, serve in served.items()}

    def _serve_comparison(self, request: Request) -> Any:
        try:
            answer = self._comparison(_query(request.args))
        except UserError as error:
            return Respond(request, {"error": str(error)}, "application/json", code=400)
        if answer["version"] == request.args.get("version"):
            answer = {"version": answer["version"], "runs": answer["runs"]}
        return Respond(request, answer, "application/json")

    def _comparison(self, query: _Query) -> dict[str, Any]:
        """Return the comparison, computed anew if a run has changed.

        Raises:
            UserError: if there is no run, or the query names something that there is not.
        """
        if self._directory is None:
            raise UserError("--logdir: the comparison needs one local folder")
        with self._lock:  # one computation at a time: the others take its result
            signature = _signature_of(self._directory)
            if signature != self._signature:
                self._compared, self._answers = self._reader.read(self._directory), {}
                self._signature = signature
            if query not in self._answers:
                assert self._compared is not None
                self._answers[query] = _answer(self._compared, self._directory, query, signature)
            return self._answers[query]


def _serve_asset(name: str, request: Request) -> Any:
    from vae.compare.content import ASSETS

    return Respond(request, (ASSETS / name).read_text(encoding="utf-8"), _TYPES[Path(name).suffix], expires=0)


def _query(arguments: Mapping[str, str]) -> _Query:
    """Return what the tab asks for.

    Raises:
        UserError: if the margin is not a positive number.
    """
    margin = margin_from(arguments.get("margin") or str(MARGIN), "margin")
    return _Query(arguments.get("baseline") or None, arguments.get("quantity") or "elbo", margin)


def _answer(comparison: "Comparison", directory: Path, query: _Query, signature: str) -> dict[str, Any]:
    from vae.compare.content import content, environment
    from vae.compare.plotting import draw_plots
    from vae.compare.table import compare
    from vae.runs.quantities import QUANTITIES, comparison_columns

    names = compare(comparison)["configuration"].tolist()
    quantities = {
        name: QUANTITIES[name].title for name, column in comparison_columns().items() if column in comparison.runs
    }
    if query.baseline not in (None, *names):
        query = query._replace(baseline=None)  # its runs have been deleted, or got another name beside new ones
    if query.quantity not in quantities:
        raise UserError(f"quantity={query.quantity}: must be one of {', '.join(quantities)}")
    plots = draw_plots(comparison, query.baseline, query.margin, query.quantity)
    variables = content(comparison, plots, query.baseline, query.margin, query.quantity, link=_link, root=directory)
    html = environment().get_template("comparison.html").render(variables)
    return {
        "version": hashlib.sha256(f"{signature} {query}".encode()).hexdigest(),
        "runs": variables["runs"],
        "html": html,
        "plots": [plot.to_json() for plot in plots],
        "baselines": names,
        "baseline": variables["baseline"],
        "quantities": [*quantities.items()],
        "quantity": query.quantity,
        "margin": query.margin,
    }


def _link(runs: Sequence[str]) -> str:
    """Return the address of TensorBoard's time series with some runs selected, from the plugin's own address."""
    names = "|".join(re.escape(run) for run in runs)
    return f"../../../?runFilter={quote(f'^({names})/', safe='')}#timeseries"


def _signature_of(directory: Path) -> str:
    """Return a text that changes with every file of a run that a comparison reads."""
    digest = hashlib.sha256()
    for run in find_runs(directory):
        pictures = (file_signature(run.reconstructions), file_signature(run.samples))
        digest.update(os.fsencode(f"{run} {signature_of(run)} {pictures}\n"))
    return digest.hexdigest()
