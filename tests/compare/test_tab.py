"""TensorBoard's tab and the report in headless Chromium: what a person sees, points at and reads by keyboard."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browsing import SCRIPT, Shoot, is_active, served
from tests.compare.conftest import ELBOS, MakeRun
from vae.compare import conclusions, difference_curves, load_runs, write_report

pytestmark = pytest.mark.thorough  # a browser

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra 'test': pip install '.[test]'")
expect = sync_api.expect
BACKEND = [last - first for first, last in zip(ELBOS["kl=analytic"], ELBOS["kl=backend"], strict=True)]

OpenTab = Callable[..., Any]


@pytest.fixture
def open_tab(browser: Any, runs: Path) -> Iterator[OpenTab]:
    """A function that opens the tab over the runs, and returns its frame. The page must report no error."""
    errors: list[str] = []
    with (
        served(runs, has_tab) as address,
        browser.new_context() as context,
    ):

        def opened(width: int = 1500, dark: bool = False) -> Any:
            page = context.new_page()
            page.set_viewport_size({"width": width, "height": 900})
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(f"{address}?darkMode={str(dark).lower()}#vae_comparison")
            frame = page.frame_locator("iframe")
            expect(status_of(frame)).to_contain_text("read at", timeout=60_000)
            return frame

        yield opened
    assert errors == []


def has_tab(address: str) -> bool:
    return is_active(address, "vae_comparison")


def status_of(frame: Any) -> Any:
    return frame.get_by_role("form").get_by_role("status")


def panel_of(frame: Any, plot: str, title: str) -> Any:
    return frame.locator(f"figure[data-plot={plot}] .panel").filter(has=frame.get_by_role("heading", name=title))


def read(panel: Any, keys: str) -> str:
    """Press keys in a panel, and return what a screen reader is told."""
    panel.focus()
    for key in keys.split():
        panel.press(key)
    return str(panel.locator("output").text_content())


def test_the_tab_shows_the_comparison(open_tab: OpenTab, runs: Path) -> None:
    frame, table = open_tab(), load_runs(runs)
    assert frame.locator(".verdicts li").all_inner_texts() == conclusions(table)
    expect(frame.get_by_role("rowheader")).to_have_text(["kl=analytic", "kl=backend", "kl=keras_loss"])
    for title in ("kl=backend", "kl=keras_loss"):
        line = panel_of(frame, "differences", title).locator("[aria-description] path").last
        assert line.evaluate("path => path.getTotalLength()") > 10
    assert frame.get_by_role("option", selected=True).all_inner_texts() == ["kl=analytic", "ELBO"]


def test_values_are_read_by_keyboard_and_by_pointing(open_tab: OpenTab, runs: Path) -> None:
    panel = panel_of(open_tab(), "differences", "kl=backend")
    curves = difference_curves(load_runs(runs)).set_index(["configuration", "epoch"])
    mean, low, high = curves.loc[("kl=backend", 2), ["difference", "low", "high"]]
    assert mean == pytest.approx(np.mean(BACKEND))
    words = read(panel, "ArrowRight ArrowRight").replace("\N{MINUS SIGN}", "-")
    name, epoch, value, names = words.split("\n")
    assert (name, epoch, names) == ("kl=backend", "epoch: 2", "runs: backend-0, backend-1, backend-2")
    numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", value)]
    assert numbers == pytest.approx([mean, low, high], rel=1e-3)
    assert read(panel, "Escape") == ""
    box = panel.locator("svg").bounding_box()
    panel.page.mouse.move(box["x"] + box["width"] - 16, box["y"] + box["height"] / 2)
    expect(panel.locator("output")).to_contain_text("epoch: 2")
    expect(panel.locator("[aria-label=tip] text")).to_be_visible()


def test_a_choice_is_followed(open_tab: OpenTab) -> None:
    frame = open_tab()
    frame.get_by_role("combobox", name="Baseline").select_option("kl=backend")
    expect(frame.locator("figure[data-plot=differences] h4")).to_have_text(["kl=analytic", "kl=keras_loss"])
    frame.get_by_role("combobox", name="Quantity").select_option(label="KL")
    expect(frame.locator("figure[data-plot=differences] h3")).to_contain_text("KL minus the baseline's")
    margin = frame.get_by_role("spinbutton", name="Equivalent within")
    margin.fill("-1")
    margin.press("Enter")
    expect(status_of(frame)).to_have_text("margin=-1: must be a number of nats greater than 0")
    margin.fill("3")
    margin.press("Enter")
    expect(status_of(frame)).to_contain_text("9 runs")
    expect(frame.get_by_role("combobox", name="Baseline")).to_have_value("kl=backend")


def test_an_open_tab_follows_the_training(open_tab: OpenTab, make_run: MakeRun) -> None:
    frame = open_tab()
    for seed in range(2):
        make_run(f"tc-{seed}", ["data=digits", "kl=tc"], [-40.0, -30.0 - seed], seed)
    expect(status_of(frame)).to_contain_text("11 runs", timeout=40_000)
    expect(frame.get_by_role("rowheader").filter(has_text="kl=tc")).to_be_visible()


def test_a_link_leads_to_the_runs(open_tab: OpenTab) -> None:
    frame = open_tab()
    frame.get_by_role("row").filter(has_text="kl=backend").get_by_role("link", name="all 3").click()
    page = frame.owner.page
    page.wait_for_url(re.compile("timeseries"))
    assert "backend" in page.url


@pytest.mark.parametrize("width", [390, 1500])
def test_it_fits_and_takes_over_the_theme(open_tab: OpenTab, width: int, shoot: Shoot) -> None:
    backgrounds = []
    for dark in (False, True):
        frame = open_tab(width, dark)
        body = frame.locator("body")
        backgrounds.append(body.evaluate("body => getComputedStyle(body).backgroundColor"))
        assert body.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert backgrounds == ["rgb(255, 255, 255)", "rgb(23, 23, 26)"]


def test_hostile_names_are_text(open_tab: OpenTab, make_run: MakeRun, runs: Path, browser: Any) -> None:
    make_run("hostile", ["data=digits", f"kl={SCRIPT}"], [-40.0, -30.0])
    frame = open_tab()
    expect(frame.get_by_role("rowheader").filter(has_text=SCRIPT)).to_be_visible()
    assert frame.locator("body").evaluate("() => window.hacked") is None
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(write_report(load_runs(runs), runs.parent / "report").as_uri())
        expect(page.get_by_role("rowheader").filter(has_text=SCRIPT)).to_be_visible()
        assert page.evaluate("window.hacked") is None


def test_a_tensorboard_that_has_ended_is_named(browser: Any, runs: Path) -> None:
    with browser.new_context() as context:
        with served(runs, has_tab) as address:
            page = context.new_page()
            page.goto(f"{address}#vae_comparison")
            frame = page.frame_locator("iframe")
            expect(status_of(frame)).to_contain_text("read at", timeout=60_000)
        frame.get_by_role("combobox", name="Quantity").select_option(label="KL")
        expect(status_of(frame)).to_have_text("TensorBoard does not answer. Is it still running?")
        expect(frame.get_by_role("rowheader")).to_have_count(3)  # what was shown stays


def test_the_report_is_read_without_a_network(browser: Any, runs: Path) -> None:
    path = write_report(load_runs(runs), runs.parent / "report")
    with browser.new_context(offline=True, viewport={"width": 1400, "height": 900}) as context:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        for name in ("differences", "elbo_by_step", "rate_distortion", "kl_per_latent", "audit_gap"):
            figure = page.locator(f"figure[data-plot={name}]")
            expect(figure.locator("svg[role=img]").first).to_be_visible()
            lengths = figure.locator("[aria-description] path[stroke], [aria-description] g path")
            assert max(lengths.evaluate_all("paths => paths.map(path => path.getTotalLength())")) > 10
        words = read(page.locator("figure[data-plot=rate_distortion] .panel"), "ArrowRight")
        assert "runs: " in words
        first, table = (page.locator(name).first.bounding_box() for name in (".first", "table"))
        assert first["y"] + first["height"] <= table["y"]
        assert page.locator("figure[data-plot=differences] svg").first.bounding_box()["y"] < 900
        entry = page.locator("figure[data-plot=elbo_by_step] .legend li").filter(has_text="kl=backend")
        entry.hover()
        others = page.locator("figure[data-plot=elbo_by_step] [aria-description='kl=keras_loss']").first
        assert float(others.evaluate("group => getComputedStyle(group).opacity")) < 0.5
        assert errors == []


def test_the_tab_is_there_before_the_runs_are(browser: Any, tmp_path: Path) -> None:
    """A log directory of another program, into which a run comes later."""
    folder = tmp_path / "logs"
    (folder / "other").mkdir(parents=True)
    (folder / "other" / "events.out.tfevents.1.other").write_bytes(b"")
    with served(folder, lambda address: True) as address:
        assert not has_tab(address)
        (folder / "run").mkdir()
        (folder / "run" / "history.csv").write_text("epoch,step,seconds,validation/elbo\n1,1,1,-3.0\n")
        deadline = time.monotonic() + 30
        while not has_tab(address):
            assert time.monotonic() < deadline
            time.sleep(0.5)
