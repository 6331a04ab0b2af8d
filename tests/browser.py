"""A real Chromium for the tests of the page, and a watch on everything a page must not do."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, Page, sync_playwright

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDE = {"width": 1280, "height": 860}
NARROW = {"width": 390, "height": 844}


def executable() -> str | None:
    """Debian's Chromium where it is installed; None for the one that playwright installed."""
    for name in ("chromium", "chromium-browser"):
        if found := shutil.which(name):
            return found
    return None


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser; RuntimeError says how to get one."""
    with sync_playwright() as player:
        try:
            browser = player.chromium.launch(executable_path=executable(), args=FLAGS)
        except Error as error:
            raise RuntimeError(
                f"no Chromium could be started: run `make browser` first ({error.message[:300]})"
            ) from None
        yield browser
        browser.close()


class Sheet:
    """One open page, and what went wrong in it."""

    def __init__(self, browser: Browser, path: Path, event: int | None = None, **context: Any):
        self.context = browser.new_context(**{"viewport": WIDE, **context})
        self.faults: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda said: self._heard(said.type, said.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))
        self.path = path
        self.page.goto(path.as_uri() + (f"#e={event}" if event is not None else ""))

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.faults.append(text)

    def _asked(self, url: str) -> None:
        if not url.startswith((self.path.as_uri(), "data:", "about:")):
            self.faults.append(f"asked for {url}")

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def event(self) -> int:
        return int(self.page.evaluate("location.hash").removeprefix("#e="))

    def tensors(self) -> dict[str, str]:
        """What each tensor of the tree is shown to hold, by the title of its name."""
        rows = self.page.evaluate(
            """() => [...document.querySelectorAll('#tree .tensor')].map((row) => [
                 row.querySelector('.name').title || row.querySelector('.name').textContent,
                 row.querySelector('.held')?.textContent ?? ''])"""
        )
        return dict(rows)

    def close(self) -> None:
        self.context.close()
        assert self.faults == []
