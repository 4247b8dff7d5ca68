"""Charts as SVG: names stay as they are, and screen readers find names of charts and links."""

import re
from html import unescape

import numpy as np
import pytest

from scripts.lib.pages import charts

pytestmark = pytest.mark.pages

MARKERS = [charts.TimelineMarker(at, f"https://tator.example.org/3?frame={at}&version=4") for at in (0, 30)]
LANES = [charts.Lane(1, 0, 30, "https://tator.example.org/1"), charts.Lane(2, 4, 9, "https://tator.example.org/2")]
PEAK = charts.Peak(1, 3.0, 5, "https://tator.example.org/5")
EDGES, MEANS = np.array([0.0, 50.0, 100.0]), {1: np.array([1.0, 2.0])}


def test_names_that_look_like_ids_stay_as_they_are():
    names = ['x id="a" y', "url(#cod)", 'href="#b"', "<g>"]
    chart = charts.counts("counts", dict.fromkeys(names, 3), ["#000000"] * len(names))
    assert [text for text in map(unescape, re.findall(r">([^<]*)</text>", chart)) if text in names] == names


def test_ids_are_unique_in_the_page_and_exist():
    chart = charts.timeline("timeline 1", EDGES, MEANS, 25.0, MARKERS)
    ids = set(re.findall(r' id="([^"]*)"', chart))
    assert ids
    assert ids == set(re.findall(r'(?:url\(#|href="#)([^")]+)', chart))
    assert all(name.startswith("timeline-1-") for name in ids)


@pytest.mark.parametrize(
    ("draw", "name", "links"),
    [
        (
            lambda: charts.timeline("a", EDGES, MEANS, 25.0, MARKERS),
            "boxes over time",
            ["frame 0 (0:00)", "frame 30 (0:01.2)"],
        ),
        (lambda: charts.timeline("b", EDGES, MEANS, None, [charts.TimelineMarker(3, None)]), "boxes over time", []),
        (lambda: charts.max_n_over_time("c", {1: [(0.0, 5)]}, 60.0, [PEAK]), "MaxN over time", ["MaxN 5 at 0:03"]),
        (
            lambda: charts.tracks("d", LANES, None),
            "tracks over time",
            ["track from frame 0 to frame 30", "track from frame 4 to frame 9"],
        ),
        (lambda: charts.scores("e", np.ones(50, np.int64), 0, 0.3, 0.5), "boxes by score", []),
        (lambda: charts.stages("f", {"network": 3.0}), "seconds by stage", []),
        (
            lambda: charts.curves("g", [charts.Curve("cod", [0, 1], [1, 0], 1)], "recall", "precision"),
            "precision by recall",
            [],
        ),
    ],
)
def test_charts_and_their_links_have_names(draw, name, links):
    chart = draw()
    role = "group" if links else "img"
    assert f'role="{role}" aria-label="{name}"' in chart
    assert re.findall(r'<a xlink:href="https:[^"]*" aria-label="([^"]*)"', chart) == links
    assert chart.count("<a ") == len(links)


@pytest.mark.parametrize(("keep", "upload"), [(0.3, None), (0.3, 0.3), (0.3, 0.5), (0.05, 0.2), (0.8, 0.9)])
def test_labels_of_thresholds_are_above_the_bars_and_no_line_crosses_them(keep, upload):
    chart = charts.scores("scores", np.ones(50, np.int64), 0, keep, upload)
    bars_top = float(re.findall(r'<path d="M [\d.]+ [\d.]+ \nL [\d.]+ ([\d.]+)', chart)[2])
    labels = re.findall(r'text-anchor: (\w+)[^>]*? x="([\d.]+)" y="([\d.]+)"[^>]*>(?:keep|upload)', chart)
    lines = re.findall(r'<path d="M ([\d.]+) [\d.]+ \nL \1 ([\d.]+) \n"[^>]*stroke: #1c2329', chart)
    assert len(labels) == len(lines) == (2 if upload is not None and upload > keep else 1)
    assert all(float(y) < bars_top for _, _, y in labels)  # y counts from the top
    for anchor, x, y in labels:
        left, right = (float(x), float(x) + 40) if anchor == "start" else (float(x) - 40, float(x))
        assert not [at for at, top in lines if left < float(at) < right and float(top) < float(y) - 8]


def test_texts_have_the_page_s_font():
    chart = str(charts.scores("a", np.arange(charts.SCORE_BINS), 1, 0.3, 0.5))
    assert "font-size" in chart
    assert "font-family" not in chart
    assert "font:" not in chart
