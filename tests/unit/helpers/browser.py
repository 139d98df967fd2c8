"""A headless Chromium for the tests of the report and of the viewer (a helper, not a test)."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
WEBGL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL 2 without a graphics card


@dataclass
class Watched:
    """A page, what it complained of and what it asked the network for (all of it is refused)."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def executable() -> str:
    """Path of the browser; the test is skipped where there is none, except in CI, where there has to be one."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and "CI" not in os.environ:
        pytest.skip(f"no browser: install one of {', '.join(NAMES)}")
    assert found, f"no browser in CI: install one of {', '.join(NAMES)}"
    return found


@contextmanager
def launched(webgl: bool = False) -> Iterator[Any]:
    """A headless browser; WebGL is slow."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS + WEBGL * webgl)
        yield browser
        browser.close()


def opened(browser: Any, path: Path | str, width: int = 1280, height: int = 900) -> Watched:
    """The file at `path`, or the page of a server at that address, in a window of its own."""
    url = path if isinstance(path, str) else path.as_uri()
    allowed = ("data:", "blob:", url.partition("#")[0] if isinstance(path, str) else "file:")
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(120_000)  # of a machine that is busy with other work
    watched = Watched(page)
    page.on("console", lambda message: watched.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))

    def check(route: Any) -> None:
        asked = route.request.url
        if asked.startswith(allowed):
            route.continue_()
        else:
            watched.requests.append(asked)
            route.abort()

    page.route("**/*", check)
    page.goto(url)
    return watched
