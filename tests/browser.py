"""Opening pages in Debian's Chromium."""

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
# Elements that extend beyond the right edge, and are neither clipped nor scrolled by their container.
_STICKING_OUT = """() => [...document.body.querySelectorAll("*")].filter(element => {
    if (element.closest(".scroll, svg") && !element.matches(".scroll, svg")) return false;
    return element.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
}).map(element => element.outerHTML.slice(0, 120))"""


@dataclass
class PageView:
    """A page as it was displayed.

    Attributes:
        complaints: messages of the console, and errors of scripts.
        requests: requested addresses, without the page itself and `data:` ones.
        sticking_out: elements wider than the window, by its width.
        text: visible text, without collapsed parts.
        videos: for each video, whether it can be played.
        links: addresses of all links.
        pdf: the printed page.
    """

    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    sticking_out: dict[int, list[str]] = field(default_factory=dict)
    text: str = ""
    videos: list[bool] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    pdf: bytes = b""

    @property
    def without_errors(self) -> bool:
        """Whether the page has no errors, no requests, and no elements that are too wide."""
        return not (self.complaints or self.requests or any(self.sticking_out.values()))


def open_page(path: Path, shots: Path | None = None) -> PageView:
    """Open a page at the width of a phone and of a desktop, and print it.

    Args:
        path: the HTML file.
        shots: folder for screenshots.
    """
    view = PageView()
    with _page() as page:
        page.on("console", lambda message: view.complaints.append(message.text))
        page.on("pageerror", lambda error: view.complaints.append(str(error)))
        page.on("request", lambda request: view.requests.append(request.url))
        address = path.resolve().as_uri()
        for width in (PHONE, DESK):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(address)
            view.sticking_out[width] = page.evaluate(_STICKING_OUT)
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                view.sticking_out[width].append("the page scrolls sideways")
            if shots is not None:
                page.screenshot(path=shots / f"{path.stem}_{width}.png", full_page=True)
        view.text = page.inner_text("body")
        view.links = page.evaluate('[...document.querySelectorAll("a[href]")].map(link => link.getAttribute("href"))')
        page.wait_for_function("[...document.querySelectorAll('video')].every(v => v.readyState > 0 || v.error)")
        view.videos = page.evaluate("[...document.querySelectorAll('video')].map(v => !v.error && v.duration > 0)")
        view.pdf = page.pdf(format="A4")
    view.requests = [one for one in view.requests if one != address and not one.startswith("data:")]
    return view


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
