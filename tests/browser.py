"""Debian's Chromium, to look at pages as people do."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.needs import lacking, require

PHONE, DESK = 390, 1280
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What sticks out to the right and is neither cut nor scrolled by what it stands in.
_STICKING_OUT = """() => [...document.body.querySelectorAll("*")].filter(element => {
    if (element.closest(".scroll, svg") && !element.matches(".scroll, svg")) return false;
    return element.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
}).map(element => element.outerHTML.slice(0, 120))"""


@dataclass
class Looked:
    """What a page did while it was open.

    Attributes:
        complaints: what the console said, and errors of scripts.
        requests: addresses asked for, but for the page itself and `data:` ones.
        sticking_out: elements wider than the window, by its width.
        text: what a reader sees, without what is folded away.
        videos: for each, whether it can be played.
        links: all addresses that links lead to.
        pdf: the page in print.
    """

    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    sticking_out: dict[int, list[str]] = field(default_factory=dict)
    text: str = ""
    videos: list[bool] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    pdf: bytes = b""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong with it."""
        return not (self.complaints or self.requests or any(self.sticking_out.values()))


def look_at(path: Path, shots: Path | None = None) -> Looked:
    """Open a page on a phone and on a desk, print it, and tell what happened.

    Args:
        path: the HTML file.
        shots: a folder for screenshots.
    """
    looked = Looked()
    with _page() as page:
        page.on("console", lambda message: looked.complaints.append(message.text))
        page.on("pageerror", lambda error: looked.complaints.append(str(error)))
        page.on("request", lambda request: looked.requests.append(request.url))
        address = path.resolve().as_uri()
        for width in (PHONE, DESK):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(address)
            looked.sticking_out[width] = page.evaluate(_STICKING_OUT)
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                looked.sticking_out[width].append("the page scrolls sideways")
            if shots is not None:
                page.screenshot(path=shots / f"{path.stem}_{width}.png", full_page=True)
        looked.text = page.inner_text("body")
        looked.links = page.evaluate('[...document.querySelectorAll("a[href]")].map(link => link.getAttribute("href"))')
        page.wait_for_function("[...document.querySelectorAll('video')].every(v => v.readyState > 0 || v.error)")
        looked.videos = page.evaluate("[...document.querySelectorAll('video')].map(v => !v.error && v.duration > 0)")
        looked.pdf = page.pdf(format="A4")
    looked.requests = [asked for asked in looked.requests if asked != address and not asked.startswith("data:")]
    return looked


@contextmanager
def _page() -> Iterator[Page]:
    require("browser")
    chromium = shutil.which("chromium")
    if chromium is None:
        lacking("Chromium (Debian's package chromium)")
    with sync_playwright() as programs:
        browser = programs.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser.new_page()
        browser.close()
