"""What a person sees in a browser: TensorBoard over a sweep, and the sweep's report, in headless Chromium.

`pytest tests/documentation/test_browser.py -m thorough -n0 --screenshots=docs/images` trains for 100 epochs, and
twenty runs for 40, and takes the pictures of `docs/`.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.browsing import SCRIPT, Shoot, fetched, is_active, served
from tests.conftest import made_once, run_script
from tests.reading import QUICK, history_of, summary_of
from vae.compare import load_runs, write_report

pytestmark = pytest.mark.thorough  # a browser

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra 'test': pip install '.[test]'")
expect = sync_api.expect

KLS = ("analytic", "backend", "keras_loss")
RUNS = [f"{number}-{kl}-0" for number, kl in enumerate(KLS)]
CANONICAL = ("elbo", "kl", "reconstruction")


@pytest.fixture(scope="module")
def sweep(browser: Any, screenshots: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three real runs of one `train.py -m`, on digits. Tests only read them."""
    options = ["trainer.epochs=100"] if screenshots else ["trainer.epochs=10", QUICK]

    def train(folder: Path) -> None:
        ended = run_script("train.py", "-m", f"kl={','.join(KLS)}", *options, "hydra.sweep.dir=sweep", cwd=folder)
        assert ended.status == 0, ended.stderr

    return made_once(tmp_path_factory, "browser", train) / "sweep"


@pytest.fixture(scope="module")
def tensorboard(sweep: Path) -> Iterator[str]:
    """The address of a TensorBoard over the sweep that has read all of it."""

    def is_ready(address: str) -> bool:
        return len(fetched(f"{address}data/runs")) == 2 * len(RUNS) + 1 and is_active(address, "projector")

    with served(sweep, is_ready) as address:
        yield address


@pytest.fixture(scope="module")
def study(sweep: Path, screenshots: Path | None) -> Path:
    """The sweep, or for pictures one of several seeds, whose differences have intervals and bands."""
    if not screenshots:
        return sweep
    options = [f"kl={','.join(KLS)},monte_carlo", "seed=0,1,2,3,4", "trainer.epochs=40", "hydra.sweep.dir=study"]
    ended = run_script("train.py", "-m", *options, cwd=sweep.parent)
    assert ended.status == 0, ended.stderr
    return sweep.parent / "study"


@pytest.fixture
def open_tab(browser: Any, tensorboard: str) -> Iterator[Callable[..., Any]]:
    """A function that opens a tab of TensorBoard on the validation runs, in light mode and without smoothing."""
    with browser.new_context() as context:

        def opened(tab: str, size: tuple[int, int] = (1500, 850)) -> Any:
            page = context.new_page()
            page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
            page.goto(
                f"{tensorboard}?darkMode=false&runFilter=validation&smoothing=0"
                f"#{tab}&regexInput=validation&_smoothingWeight=0"
            )
            return page

        yield opened


def settled_lines(chart: Any, count: int) -> None:
    """Waits until a chart has so many lines, and holds that each has a length."""
    lines = chart.locator("path.line")
    expect(lines).to_have_count(count)
    lengths = lines.evaluate_all("paths => paths.map(path => path.getTotalLength())")
    assert min(lengths) > 10, lengths


def test_time_series_read_top_down(open_tab: Callable[..., Any], sweep: Path, shoot: Shoot) -> None:
    page = open_tab("timeseries", (1500, 560))
    groups = page.locator("metrics-card-group-toolbar .group-title")
    expect(groups).to_have_text(["canonical", "optimization", "pictures", "regularizer_audit", "units"])
    page.locator("button.settings-button").click()  # which closes them: the cards take the whole width
    expect(page.locator("metrics-dashboard-right-pane")).to_be_hidden()
    for place, name in enumerate(CANONICAL):
        card = page.locator("scalar-card").nth(place)
        expect(card).to_contain_text(f"canonical/{name}")
        for run in RUNS:
            history = history_of(sweep / run)
            last = float(history[-1][f"validation/{name}"])
            row = card.locator("tb-data-table-content-row").filter(has_text=f"{run}/tensorboard/validation")
            _, value, step, *_ = row.inner_text().split()
            assert (float(value), int(step)) == (pytest.approx(last, rel=1e-4), len(history))
    shoot(page, "tensorboard")


def test_scalar_curves_are_drawn(open_tab: Callable[..., Any]) -> None:
    charts = open_tab("scalars").locator("tf-scalar-card")
    for place, name in enumerate(CANONICAL):
        settled_lines(charts.nth(place), len(RUNS))
        assert charts.nth(place).evaluate("card => card.tag") == f"canonical/{name}"


def test_hparams_has_a_row_for_each_run(open_tab: Callable[..., Any], sweep: Path, shoot: Shoot) -> None:
    """Its first column is the swapped option, and its values are the canonical ones of summary.json."""
    page = open_tab("hparams", (1960, 420))
    table = page.locator("tf-hparams-table-view vaadin-grid-cell-content")
    expect(table.filter(has_text=RUNS[-1])).to_be_visible()
    texts = [text.strip() for text in table.all_inner_texts()]
    cells = [text for text in texts if text and text != "Show Metrics"]
    width = next(place for place, text in enumerate(cells) if text.startswith(RUNS[0]))
    head, *rows = (cells[place : place + width] for place in range(0, len(cells), width))
    assert head[:2] == ["Trial ID", "kl"]
    assert [name for name in head if name.startswith("canonical/")] == [f"canonical/{name}" for name in CANONICAL]
    assert [row[0].split()[0] for row in rows] == RUNS
    assert [row[1] for row in rows] == list(KLS)
    for run, row in zip(RUNS, rows, strict=True):
        figures = summary_of(sweep / run)["validation"]
        for name in CANONICAL:
            assert float(row[head.index(f"canonical/{name}")]) == pytest.approx(figures[name], rel=1e-4)
    shoot(page, "hparams")


def test_custom_scalars_overlay_the_implementations(open_tab: Callable[..., Any], shoot: Shoot) -> None:
    page = open_tab("custom_scalars", (1500, 980))
    charts = page.locator("tf-custom-scalar-multi-line-chart-card")
    for place in range(len(CANONICAL)):
        settled_lines(charts.nth(place), len(RUNS))
    for place in (3, 4):  # gap and cosine: the six implementations that configs/audit names, and the trained one
        settled_lines(charts.nth(place), 7 * len(RUNS))
    shoot(page, "custom_scalars")


def test_images_step_through_the_epochs(open_tab: Callable[..., Any], sweep: Path, shoot: Shoot) -> None:
    page = open_tab("images", (1500, 620))
    cards = page.locator("tf-image-loader")
    expect(cards).to_have_count(2 * len(RUNS))  # reconstructions and samples
    card = cards.first
    picture, slider = card.locator("img"), card.locator("paper-slider")

    def shown() -> bytes:
        """What the page shows, once it is loaded."""
        page.wait_for_function("picture => picture.complete && picture.naturalWidth > 0", arg=picture.element_handle())
        return bytes(picture.screenshot())

    expect(card).to_contain_text(f"step {len(history_of(sweep / RUNS[0]))}")
    last, address = shown(), picture.get_attribute("src")
    slider.press("Home")
    expect(card).to_contain_text(re.compile(r"step\s+1\s"))
    expect(picture).not_to_have_attribute("src", address)
    assert shown() != last
    slider.press("End")
    expect(picture).to_have_attribute("src", address)
    assert shown() == last
    shoot(page, "images")


def test_the_projector_opens(open_tab: Callable[..., Any], sweep: Path, shoot: Shoot) -> None:
    page = open_tab("projector")
    projector = page.frame_locator("iframe").frame_locator("iframe")
    points = (sweep / RUNS[0] / "tensorboard" / "validation" / "posterior_means.tsv").read_text().splitlines()
    expect(projector.locator(".numDataPoints")).to_have_text(str(len(points)))
    expect(projector.locator(".dim")).to_have_text(str(len(points[0].split())))
    expect(projector.locator("vz-projector-data-panel")).to_contain_text("labels.tsv")
    shoot(page, "projector")


@pytest.mark.parametrize(("width", "picture"), [(390, "comparison_tab_phone"), (1500, "comparison_tab")])
def test_the_comparison_tab(browser: Any, study: Path, width: int, picture: str, shoot: Shoot) -> None:
    """Of runs that were trained; tests/compare/test_tab.py has the details."""
    with (
        served(study, lambda address: is_active(address, "vae_comparison")) as address,
        browser.new_context() as context,
    ):
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 850})
        page.goto(f"{address}?darkMode=false#vae_comparison")
        frame = page.frame_locator("iframe")
        expect(frame.get_by_role("rowheader").filter(has_text="kl=keras_loss").first).to_be_visible(timeout=60_000)
        expect(frame.locator("figure[data-plot=elbo_by_step] .panel svg")).to_be_attached()
        shoot(page, picture)


@pytest.fixture(scope="module")
def report(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the sweep's runs, one of which has an override that would be a script on a careless page."""
    folder = tmp_path_factory.mktemp("report")
    for run in RUNS:
        shutil.copytree(
            sweep / run, folder / run, ignore=shutil.ignore_patterns("checkpoints", "tensorboard", "*.keras")
        )
    overrides = folder / RUNS[0] / ".hydra" / "overrides.yaml"
    overrides.write_text(yaml.safe_dump([*yaml.safe_load(overrides.read_text()), f"note={SCRIPT}"]))
    return write_report(load_runs(folder), folder / "comparison")


@pytest.mark.parametrize(("width", "picture"), [(390, "report_phone"), (1200, "report")])
def test_the_report(browser: Any, report: Path, width: int, picture: str, shoot: Shoot, study: Path) -> None:
    """On a telephone and a desk: all of it fits and is there, in both colours, without network or hostile script."""
    backgrounds = {}
    for scheme in ("light", "dark"):
        with browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme) as context:
            page = context.new_page()
            requested: list[str] = []
            page.on("request", lambda request, seen=requested: seen.append(request.url))
            page.goto(report.as_uri())
            images = page.locator("img")
            assert images.count() > 2
            assert min(images.evaluate_all("images => images.map(image => image.naturalWidth)")) > 0
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            expect(page.get_by_text(SCRIPT).first).to_be_attached()
            assert page.evaluate("window.hacked") is None
            assert [url for url in requested if not url.startswith("data:")] == [report.as_uri()]
            backgrounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
            if scheme == "light":
                page.goto((study / "comparison" / "report.html").as_uri())
                expect(page.locator("figure[data-plot=differences] svg").first).to_be_visible()
                shoot(page, picture)
    assert backgrounds["light"] != backgrounds["dark"], backgrounds
