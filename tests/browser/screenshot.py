"""A picture of the live view: `python -m tests.browser.screenshot ADDRESS FILE [THEME [WINDOW]]`.

`make demo` prints the address; docs/live-view.png is such a picture.
"""

import sys

from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM

WIDTH, HEIGHT = 1440, 1020
_SETTLE_MILLIS = 3_000


def main(address: str, file: str, theme: str = "light", window: str = "3 hours") -> None:
    """Write the top of the page at `address` to `file`: theme light or dark, window as labelled."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        page.goto(address)
        page.wait_for_selector("body[data-state=live]")
        page.get_by_label(window).check()
        page.wait_for_selector(".chart canvas")
        page.wait_for_timeout(_SETTLE_MILLIS)
        page.screenshot(path=file)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
