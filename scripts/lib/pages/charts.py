"""Draw charts as SVG inside a page, without scripts."""

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import unescape
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from scripts.lib.pages.findings import SCORE_BINS, Counts, Means
from scripts.lib.pictures.colours import colour
from scripts.lib.text.display_text import short

WIDTH = 4.0  # inches; pages scale charts to their width
GREY, INK = "#5b6670", "#1c2329"
_STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": INK,
    "text.parse_math": False,  # names may contain dollar signs
    "svg.fonttype": "none",  # keeps text as text: searchable, and in the page's font
    "font.family": "sans-serif",
}
# The height of a threshold's label as a share of the axes, and the score above which it is on the left of its line.
_LABEL, _ON_THE_LEFT = 0.18, 0.7
_TAG = re.compile(r"<[^<>]*>")
_Drawing = tuple[Axes, list[Markup]]


class TimelineMarker(NamedTuple):
    """A point on a timeline: its frame, and the address of its link, if any."""

    frame: int
    address: str | None


class Peak(NamedTuple):
    """A species' highest number over time: the species from 1, the second, the number, and the address of its link."""

    species: int
    seconds: float
    number: int
    address: str | None


class Lane(NamedTuple):
    """A track: species from 1, first and last frame, and the address of its box with the highest score."""

    species: int
    first: int
    last: int
    address: str | None


class Bar(NamedTuple):
    """A bar: its name, its length, and the text at its end."""

    name: str
    value: float
    text: str


class Curve(NamedTuple):
    """A named line: x and y of its points, and the number of its species from 1."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    species: int


@contextmanager
def _chart(name: str, label: str, height: float, links: Mapping[str, str] | None = None) -> Iterator[_Drawing]:
    """Yield axes to draw on, and a list that contains the SVG after the `with` block.

    Args:
        name: the chart's name, unique in the page.
        label: what the chart shows, for screen readers.
        height: the height in inches.
        links: what each link leads to, by its address, for screen readers.
    """
    made: list[Markup] = []
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}), warnings.catch_warnings():
        # Missing glyphs only affect measuring; the browser has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        yield figure.add_subplot(), made
        stream = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    made.append(_inline(stream.getvalue(), name, label, links or {}))


def _inline(svg: str, name: str, label: str, links: Mapping[str, str]) -> Markup:
    """Return the SVG as an element: unused ids are removed, the others are made unique in the page.

    Only tags are changed, as texts between them may be names of species that look like ids.
    """
    svg = svg[svg.index("<svg") :]
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", "".join(_TAG.findall(svg))))
    prefix = re.sub(r"\W", "-", name)

    def renamed(found: re.Match[str]) -> str:
        return f' id="{prefix}-{found[1]}"' if found[1] in used else ""

    def named(found: re.Match[str]) -> str:
        return f'{found[0]} aria-label="{escape(links[unescape(found[1])])}"'

    def changed(found: re.Match[str]) -> str:
        tag = re.sub(r' id="([^"]*)"', renamed, found[0])
        tag = re.sub(r"(url\(#|href=\"#)", rf"\g<1>{prefix}-", tag)
        tag = re.sub(r'^<a xlink:href="([^"]*)"', named, tag)
        return re.sub(r"font-family: [^;\"]{0,400}; ", "", tag)  # so that texts have the page's font

    svg = _TAG.sub(changed, svg)
    # The size in points is left out, so that the page's style determines it.
    head, _, body = svg.partition(">")
    view_box = head.partition('viewBox="')[2].partition('"')[0]
    role = "group" if links else "img"  # links inside an image are hidden from screen readers
    svg = f'<svg viewBox="{view_box}" role="{role}" aria-label="{escape(label)}" class="chart">{body}'
    return Markup(svg)  # noqa: S704  (matplotlib escapes what it writes)


def counts(name: str, boxes: Mapping[str, int], colours: Sequence[str]) -> Markup:
    """Return bars with the number of boxes of each species, in the given order."""
    bars = [Bar(short(species, 18), count, f"{count:,}") for species, count in boxes.items()]
    return _bars(name, "boxes by species", bars, colours, room=0.15)


def scores(name: str, histogram: Counts, label: int, keep: float, upload: float | None) -> Markup:
    """Return a histogram of a species' scores with its thresholds.

    Args:
        name: the chart's name, unique in the page.
        histogram: the numbers of boxes.
        label: the species, from 0.
        keep: the least score of a box.
        upload: the least score of an uploaded box, at least `keep`; None if nothing is uploaded.
    """
    with _chart(name, "boxes by score", 1.5) as (axes, made):
        axes.stairs(histogram, np.linspace(0, 1, SCORE_BINS + 1), fill=True, color=colour(label), alpha=0.85)
        if upload is None or upload <= keep:
            labels = [(keep, f"keep {keep:g}" if upload is None else f"keep, upload {keep:g}", "-")]
        else:
            labels = [(keep, f"keep {keep:g}", "-"), (upload, f"upload {upload:g}", "--")]
        axes.set_ylim(top=axes.get_ylim()[1] / (1 - _LABEL * len(labels)))  # labels are above the bars
        # Each line ends at its own label. So that no line crosses the other's label, a label on the left is the upper.
        upper = len(labels) - 1 if labels[-1][0] > _ON_THE_LEFT else 0
        near = labels[-1][0] - keep < 0.25
        for at, (x, text, style) in enumerate(labels):
            _threshold(axes, x, text, style, row=int(at != upper), left=x > _ON_THE_LEFT or (at < upper and near))
        axes.set_xlim(0, 1)
        axes.set_xlabel("score")
        axes.set_ylabel("boxes")
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    return made[0]


def _threshold(axes: Axes, x: float, text: str, style: str, *, row: int, left: bool) -> None:
    """Draw a line at a score up to its label, in a row from 0 at the top, which is on its right or its left."""
    top = 1 - _LABEL * row
    axes.axvline(x, ymax=top, color=INK, linewidth=1, linestyle=style)
    axes.annotate(
        text, (x, top), (-3 if left else 3, 0), xycoords=("data", "axes fraction"), textcoords="offset points",
        ha="right" if left else "left", va="top", fontsize=8,
    )  # fmt: skip


def timeline(
    name: str, edges: Means, means: Mapping[int, Means], fps: float | None, markers: Sequence[TimelineMarker]
) -> Markup:
    """Return the mean boxes per frame over a video's time, stacked by species, with markers that link to frames.

    Args:
        name: the chart's name, unique in the page.
        edges: the edges of the bins, in frames.
        means: mean boxes per frame in each bin, by species from 1.
        fps: frames per second; if None, the axis shows frames.
        markers: the markers.
    """
    scale = 1 / fps if fps else 1.0
    links = {marker.address: moment(marker.frame, fps) for marker in markers if marker.address}
    with _chart(name, "boxes over time", 1.7, links) as (axes, made):
        base = np.zeros(len(edges) - 1)
        for species, mean in sorted(means.items(), key=lambda item: -item[1].sum()):
            axes.stairs(base + mean, edges * scale, baseline=base, fill=True, color=colour(species - 1), linewidth=0)
            base = base + mean
        top = max(float(base.max(initial=0)) * 1.18, 1e-3)
        axes.set_ylim(0, top)
        axes.set_xlim(edges[0] * scale, edges[-1] * scale)
        if markers:
            at = [(marker.frame + 0.5) * scale for marker in markers]
            points = axes.scatter(at, [top * 0.95] * len(at), marker="v", color=INK, s=26, clip_on=False, zorder=3)
            points.set_urls([marker.address for marker in markers])
        axes.set_ylabel("boxes a frame")
        axes.set_xlabel("time" if fps else "frame")
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=not fps))
        if fps:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds)))
    return made[0]


def max_n_over_time(
    name: str, steps: Mapping[int, Sequence[tuple[float, int]]], length: float, peaks: Sequence[Peak]
) -> Markup:
    """Return MaxN by interval, a stepped line for each species, with markers that link to the frames with the highest.

    Args:
        name: the chart's name, unique in the page.
        steps: for each species from 1, the intervals: the second at which they begin, and their MaxN.
        length: the length of an interval in seconds.
        peaks: the markers.
    """
    links = {peak.address: f"MaxN {peak.number} at {clock(peak.seconds)}" for peak in peaks if peak.address}
    with _chart(name, "MaxN over time", 1.7, links) as (axes, made):
        for species, points in sorted(steps.items()):
            at = [second for start, _ in points for second in (start, start + length)]
            axes.plot(at, [top for _, top in points for _ in (0, 1)], color=colour(species - 1), linewidth=1.6)
        for peak in peaks:
            point = axes.scatter(
                [peak.seconds], [peak.number], marker="v", s=26, color=colour(peak.species - 1), zorder=3
            )
            point.set_urls([peak.address])
        axes.set_ylim(0, max(top for points in steps.values() for _, top in points) * 1.18)
        axes.set_xlim(left=min(points[0][0] for points in steps.values()))
        axes.set_ylabel("MaxN")
        axes.set_xlabel("time")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds)))
    return made[0]


def tracks(name: str, lanes: Sequence[Lane], fps: float | None) -> Markup:
    """Return a bar for each track over a video's time, sorted by species, with links.

    Args:
        name: the chart's name, unique in the page.
        lanes: the tracks.
        fps: frames per second; if None, the axis shows frames.
    """
    scale = 1 / fps if fps else 1.0
    ordered = sorted(lanes, key=lambda lane: (lane.species, lane.first, lane.last))
    links = {
        lane.address: f"track from {moment(lane.first, fps)} to {moment(lane.last, fps)}"
        for lane in ordered
        if lane.address
    }
    with _chart(name, "tracks over time", 0.6 + 0.09 * len(ordered), links) as (axes, made):
        for at, lane in enumerate(ordered):
            width = (lane.last - lane.first + 1) * scale
            [bar] = axes.barh([at], [width], left=lane.first * scale, height=0.75, color=colour(lane.species - 1))
            bar.set_url(lane.address)
        axes.invert_yaxis()
        axes.yaxis.set_visible(False)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(left=0)
        axes.set_xlabel("time" if fps else "frame")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=not fps))
        if fps:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds)))
    return made[0]


def moment(frame: int, fps: float | None) -> str:
    """Return a text with the number and the time of a frame."""
    return f"frame {frame:,}" + (f" ({clock(frame / fps)})" if fps else "")


def clock(seconds: float) -> str:
    """Return a time such as 0:03.5 or 1:02:03."""
    whole, part = divmod(round(seconds * 10), 10)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02d}" if hours else f"{minutes}") + f":{rest:02d}" + (f".{part}" if part else "")


def stages(name: str, seconds: Mapping[str, float]) -> Markup:
    """Return bars with the time of each stage and its share."""
    total = sum(seconds.values()) or 1.0
    bars = [Bar(stage, spent, f"{spent:,.1f} s, {spent / total:.0%}") for stage, spent in seconds.items()]
    return _bars(name, "seconds by stage", bars, colour(0), room=0.3)


def _bars(name: str, label: str, bars: Sequence[Bar], colours: str | Sequence[str], *, room: float) -> Markup:
    """Return bars; `room` is the space for their texts, as a share of the width."""
    with _chart(name, label, 0.35 + 0.26 * len(bars)) as (axes, made):
        positions = range(len(bars))
        drawn = axes.barh(positions, [bar.value for bar in bars], color=colours, height=0.7)
        axes.bar_label(drawn, [bar.text for bar in bars], padding=3)
        axes.set_yticks(positions, [bar.name for bar in bars], color=INK)
        axes.invert_yaxis()
        axes.margins(x=room)
        axes.xaxis.set_visible(False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(length=0)
    return made[0]


def curves(name: str, lines: Sequence[Curve], x: str, y: str) -> Markup:
    """Return lines in the unit square, which differ by colour and dashes."""
    dashes = ("-", "--", ":", "-.")
    with _chart(name, f"{y} by {x}", 3.0) as (axes, made):
        for line in lines:
            at = line.species - 1
            style = dashes[at % len(dashes)]
            axes.plot(line.x, line.y, color=colour(at), linestyle=style, linewidth=1.6, label=short(line.name, 16))
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.grid(visible=True, color="#d8dde1", linewidth=0.6)
        if lines:
            axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return made[0]
