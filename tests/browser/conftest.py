"""Chromium, and the page open in it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = Path(os.environ.get("TILLWATCH_CHROMIUM", "/usr/bin/chromium"))
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ANSWER_MILLIS_MAX = 30_000

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium for one module: Playwright's loop must have ended where others run their own."""
    if not CHROMIUM.exists():
        pytest.skip(
            f"there is no Chromium at {CHROMIUM}: install one (Debian: apt-get install chromium; "
            "elsewhere: playwright install chromium) and name it in TILLWATCH_CHROMIUM"
        )
    expect.set_options(timeout=ANSWER_MILLIS_MAX)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """`open_page(address, width=…, theme=…)`: the page in a context of its own, and live.

    What the page logs as an error, and what its policy refuses, fails the test.
    """
    with ExitStack() as contexts:
        said: list[str] = []

        def opened(
            address: str, *, width: int = 1440, height: int = 900, theme: str = "light"
        ) -> Page:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if theme == "dark" else "light",
                reduced_motion="reduce",
            )
            contexts.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(ANSWER_MILLIS_MAX)
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("console", lambda line: said.append(line.text) if _is_fault(line) else None)
            page.goto(address)
            page.wait_for_selector("body[data-state=live]")
            return page

        yield opened
        assert said == []


def _is_fault(line: object) -> bool:
    # A refused or broken fetch is logged by the browser itself; the page tells it in its own words.
    text = str(getattr(line, "text", ""))
    return getattr(line, "type", "") == "error" and not text.startswith("Failed to load resource")
