"""Photograph TensorBoard over a folder of runs: python docs/screenshot.py RUNS_DIR PICTURE.

Needs the extra `dev` and a Chromium (Debian: apt-get install chromium); CHROMIUM names another than /usr/bin/chromium.
"""

import argparse
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

from playwright.sync_api import sync_playwright

PORT = 6123
PAGE = f"http://localhost:{PORT}/?darkMode=false#{{tab}}&regexInput={{runs}}&tagFilter={{tags}}&_smoothingWeight=0"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def wait_until_it_answers() -> None:
    """Returns when TensorBoard serves pages."""
    for _ in range(120):
        try:
            urllib.request.urlopen(f"http://localhost:{PORT}/data/environment", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    sys.exit("TensorBoard does not answer")


def main() -> None:
    """Starts TensorBoard, opens its scalars page, waits for the curves and saves the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs")
    parser.add_argument("picture")
    parser.add_argument("--tab", default="scalars")
    parser.add_argument("--show", default="validation", help="regular expression of the runs")
    parser.add_argument("--tags", default="^(elbo|kl|reconstruction|audit/gap/keras_loss)$")
    parser.add_argument("--size", default="1500x740")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    server = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", "--logdir", arguments.runs, "--port", str(PORT)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_it_answers()
        with sync_playwright() as playwright:
            chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(PAGE.format(tab=arguments.tab, runs=arguments.show, tags=arguments.tags))
            page.wait_for_timeout(12_000)
            page.screenshot(path=arguments.picture)
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
