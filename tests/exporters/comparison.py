"""Export networks, run them in the workflow's steps, and compare the boxes with those of their own packages.

    python -m tests.exporters.comparison EXPORTERS CONVERSION FOLDER [--page docs/networks.md] [NAME ...]

EXPORTERS and CONVERSION are environments. FOLDER gets the files of networks.py for each network, and its result, which
is reused with the same code and versions. The page's table is replaced; with names, only their rows.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from scripts.detect import detect
from scripts.get_network import get_network
from scripts.lib.detection.candidates import Candidates
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detections import read_detections
from scripts.lib.errors import GraphError, PipelineError
from scripts.lib.files import read_json
from scripts.lib.graphs.nms_settings import to_values
from scripts.lib.preprocessing.fitting import Fitting
from scripts.lib.suppression import Nms, select_frames
from tests.exporters.exporter_process import Environments, exported
from tests.exporters.families import NETWORKS, Exported
from tests.exporters.kept_results import keep, kept, state_of
from tests.exporters.oracle_file import MOST_BOXES, THREADS, Rates

ENGINES = ("openvino", "onnxruntime")
# No suppression: each anchor has one box, of its best class.
NOTHING = to_values(Nms(iou=1.0, max_detections=MOST_BOXES, per_class=True, best_class=True))
# The package's loop and ours run in turn, so that other load of the machine affects both. A turn takes a second, or as
# long as one batch; there are fewer turns if all take longer than a minute.
TURNS, FEWEST_TURNS, SECONDS, LONGEST = 5, 3, 1.0, 60.0
HEAD = (
    "| network | family | boxes compared | largest difference: pixels, score | "
    "frames/s, times the exporter's: elapsed, processor time |\n"
    "|---|---|---|---|---|\n"
)


def taken(network: Exported, source: Path, folder: Path) -> NetworkFiles:
    """Get a network with get_network."""
    graph = folder / network.graph
    get_network(
        graph=graph,
        train_ini=folder / "train.ini",
        provenance=folder / "provenance.json",
        directory=source,
        weights=folder / "graph.bin" if graph.suffix == ".xml" else None,
        **network.settings,
    )
    family = read_json(folder / "provenance.json")["description"]["family"]
    if family != network.family:
        raise AssertionError(f"{source}: recognised as {family}; expected {network.family}")
    return NetworkFiles(graph, folder / "train.ini", folder / "provenance.json", [])


def asked(network: Exported, engine: str, threshold: float) -> DetectOptions:
    """Return the options of detection."""
    sides = {key: network.settings.get(key) for key in ("img_max_side", "img_min_side")}
    return DetectOptions(
        **sides, keep_threshold=threshold, batch_size=network.batch_size, frame_stride=1, frame_range=None,
        max_frames=None, engine=engine, precision="f32", engines=Path("engines"), pixels=None, first_label=None,
        nms=NOTHING if network.is_half else None, threads=THREADS,
    )  # fmt: skip


def found_in(
    given: Sequence[np.ndarray], network: NetworkFiles, options: DetectOptions, folder: Path
) -> list[np.ndarray]:
    """Return the boxes that detect finds in each picture: (n, 6) x1, y1, x2, y2, score, label from 0."""
    numbers = range(1, len(given) + 1)
    paths = {
        kind: [folder / f"{number}{suffix}" for number in numbers]
        for kind, suffix in (
            ("media", ".png"), ("records", "-record.json"), ("downloads", "-download.json"),
            ("detections", ".csv"), ("outcomes", "-found.json"), ("previews", ".zip"),
        )
    }  # fmt: skip
    for number, picture, media, record, download in zip(
        numbers, given, paths["media"], paths["records"], paths["downloads"], strict=True
    ):
        cv2.imwrite(str(media), picture)
        ready = {"media_id": number, "state": "ready", "reason": None}
        record.write_text(json.dumps(ready | {"name": "picture", "kind": "image", "width": 1, "height": 1}))
        download.write_text(json.dumps(ready))
    detect(network_files=network, options=options, **paths)
    return [
        np.array(
            [(row.x, row.y, row.x + row.w, row.y + row.h, row.score, row.species - 1) for row in read_detections(path)],
            np.float64,
        ).reshape(-1, 6)
        for path in paths["detections"]
    ]


def differences(
    found: np.ndarray, oracle: np.ndarray, size: tuple[int, int], threshold: float, equal: float = 0.0
) -> tuple[int, float, float]:
    """Return the number of boxes compared, and the largest differences of boxes and scores; inf without a partner.

    Each box of either side is compared with the nearest one of the same label. With `equal`, the partner may have
    another label if its score differs by no more than that. Boxes whose score is at most 0.01 above the threshold (or
    twice the threshold, if it is below 0.01) need no partner. Boxes without area on the picture are left out, as in the
    step.
    """
    limit = np.array([size[0], size[1]] * 2, np.float64)
    oracle = np.concatenate([np.clip(oracle[:, :4], 0, limit), oracle[:, 4:]], 1)
    oracle = oracle[((oracle[:, 2:4] - oracle[:, :2]) > 0.002).all(axis=1)]
    compared, boxes, scores, least = 0, 0.0, 0.0, threshold + min(0.01, threshold)
    for some, others in ((found, oracle), (oracle, found)):
        for row in some[some[:, 4] > least]:
            same = others[(others[:, 5] == row[5]) | (np.abs(others[:, 4] - row[4]) < equal)]
            if not len(same):
                return compared, float("inf"), float("inf")
            apart = np.abs(same[:, :4] - row[:4]).max(axis=1)
            # Among equally near boxes, the one with the nearest score.
            best = np.lexsort((np.abs(same[:, 4] - row[4]), np.round(apart, 2)))[0]
            boxes, scores = max(boxes, apart[best]), max(scores, abs(same[best, 4] - row[4]))
            compared += 1
    return compared, boxes, scores


def times(network: NetworkFiles, options: DetectOptions, picture: np.ndarray, theirs: Callable[[], Rates]) -> Rates:
    """Return the rates of fitting, running and suppressing frames, divided by those of the package's own loop.

    They are the medians of the ratios of all turns.
    """
    opened = Network(network, options)
    ratios = []
    with opened.load() as engine:
        fitting = Fitting(opened.resize, opened.size)
        shape = (options.batch_size, engine.size.height, engine.size.width, 3)
        batches = [np.zeros(shape, fitting.resize.dtype) for _ in range(engine.depth)]

        def finish() -> None:
            outputs = engine.finish()
            found = Candidates.of(outputs, options.keep_threshold, engine.nms)
            select_frames(found.counts, found.boxes, found.scores, options.keep_threshold, found.nms)

        def ours() -> Rates:
            started, spent, rounds = time.perf_counter(), time.process_time(), 0
            while not rounds or time.perf_counter() - started < SECONDS:
                batch = batches[rounds % engine.depth]
                if rounds >= engine.depth:
                    finish()
                for place in batch:
                    fitting.fit(picture, place)
                engine.start(batch)
                rounds += 1
            for _ in range(min(rounds, engine.depth)):
                finish()
            count = rounds * options.batch_size
            return Rates(count / (time.perf_counter() - started), count / (time.process_time() - spent))

        ours()
        theirs()
        started = time.perf_counter()
        while len(ratios) < TURNS and (len(ratios) < FEWEST_TURNS or time.perf_counter() - started < LONGEST):
            other, own = theirs(), ours()
            ratios.append(Rates(own.elapsed / other.elapsed, own.processor / other.processor))
    return Rates(*(median(each) for each in zip(*ratios, strict=True)))


def refusal(name: str, source: Path) -> dict[str, Any]:
    """Return the result for a network that has to be refused, with the error's message."""
    network, said = NETWORKS[name], "nothing"
    with TemporaryDirectory() as folder:
        try:
            taken(network, source, Path(folder))
        except GraphError as error:
            said = str(error)
    return {"name": name, "said": said, "within": str(network.refused) in said}


def compare(name: str, source: Path, theirs: Callable[[], Rates]) -> dict[str, Any]:
    """Compare one network, on each engine that reads it; `theirs` measures the package's own loop."""
    wanted, oracle = NETWORKS[name], np.load(source / "oracle.npz")
    given = wanted.pictures
    threshold = float(oracle["threshold"])
    result: dict[str, Any] = {"name": name, "family": wanted.family, "compared": 0, "boxes": 0.0, "scores": 0.0}
    with TemporaryDirectory() as folder:
        network = taken(wanted, source, Path(folder))
        for engine in ENGINES if wanted.graph.endswith(".onnx") else ENGINES[:1]:
            options = asked(wanted, engine, threshold)
            for at, found in enumerate(found_in(given, network, options, Path(folder))):
                expected = np.column_stack([oracle[f"{kind}_{at}"] for kind in ("boxes", "scores", "labels")])
                size = (given[at].shape[1], given[at].shape[0])
                equal = wanted.tolerance[1] if wanted.is_half and engine == "openvino" else 0.0
                count, boxes, scores = differences(found, expected.reshape(-1, 6), size, threshold, equal)
                result["compared"] += count
                for key, value in (("boxes", boxes), ("scores", scores)):
                    result[key] = max(result[key], value)
                    result[f"{engine} {key}"] = max(result.get(f"{engine} {key}", 0.0), value)
        result["times"] = times(network, asked(wanted, "openvino", threshold), given[0], theirs)
    within = result["boxes"] <= wanted.tolerance[0] and result["scores"] <= wanted.tolerance[1]
    return result | {"within": bool(within and result["compared"])}


def result_of(name: str, environments: Environments, folder: Path) -> dict[str, Any]:
    """Return the result of a network: the one stored in its folder, or a new one, which is stored there."""
    state = state_of(name)
    if (before := kept(folder, state)) is not None:
        return before
    started = time.perf_counter()
    try:
        with exported(name, environments, folder) as theirs:
            result = refusal(name, folder) if NETWORKS[name].refused else compare(name, folder, theirs)
    except (RuntimeError, PipelineError, AssertionError) as error:
        return {"name": name, "said": str(error), "within": False}
    result["seconds"] = round(time.perf_counter() - started)
    if result["within"]:
        keep(folder, state, result)
    return result


def row(result: dict[str, Any]) -> str:
    """Return a row of the table."""
    off = f"{result['boxes']:.2g}, {result['scores']:.1g}" if result["compared"] else "-"
    times = ", ".join(f"{ratio:.1f}" for ratio in result["times"])
    return f"| {result['name']} | `{result['family']}` | {result['compared']} | {off} | {times} |\n"


def with_rows(text: str, rows: dict[str, str]) -> str:
    """Return the page with these rows of the table, by the network's name; others stay, in the order of NETWORKS."""
    found = re.search(re.escape(HEAD) + r"((?:\|.*\n)*)", text)
    if found is None:
        raise ValueError("the page has no such table")
    before = {line.split("|")[1].strip(): line for line in found[1].splitlines(keepends=True)}
    kept = before | rows
    return text[: found.start(1)] + "".join(kept[name] for name in NETWORKS if name in kept) + text[found.end(1) :]


def main() -> int:
    """Compare; return 0 when all are within their tolerances."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exporters", type=Path)
    parser.add_argument("conversion", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("names", nargs="*")
    given = parser.parse_intermixed_args()
    environments = Environments(given.exporters.absolute(), given.conversion.absolute())
    failed = []
    for name in given.names or NETWORKS:
        result = result_of(name, environments, given.folder.absolute() / name)
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
        if not result["within"]:
            failed.append(name)
        if given.page and result["within"] and "times" in result:
            text = given.page.read_text(encoding="utf-8")
            given.page.write_text(with_rows(text, {name: row(result)}), encoding="utf-8")
    if failed:
        sys.stderr.write(f"differ from their own packages: {', '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
