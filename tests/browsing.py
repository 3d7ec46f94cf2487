"""Chromium for tests of pages: import the fixtures `browser` and `opened`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    sync = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("needs Chromium")
    with sync.sync_playwright() as playwright:
        options = ["--headless", "--no-sandbox", "--disable-gpu"]
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=options)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page of a server as somebody; whatever its scripts complain about fails the test."""
    contexts, faults = [], []

    def opening(live: Any, key: str, path: str, *, language: str = "ko", **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {live.keys[key]}"}
        locale = "ko-KR" if language == "ko" else "en-US"
        context = browser.new_context(locale=locale, extra_http_headers=headers, **more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.clock.install()  # it runs as usual, and can be put forward
        page.goto(live.url + path)
        return page

    yield opening
    for context in contexts:
        context.close()
    assert faults == []


def axe_faults(page: Any) -> list[Any]:
    """What axe-core finds wrong, with the elements."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]
