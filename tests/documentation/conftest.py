"""The browser, for the tests that look at TensorBoard and at the report."""

from tests.browsing import browser, screenshots, shoot

__all__ = ["browser", "screenshots", "shoot"]
