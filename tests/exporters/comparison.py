"""Runs exported networks through the workflow's steps, and says how far it is from what their own packages found.

    python -m tests.exporters.comparison FOLDER [--page docs/networks.md] [NAME ...]

FOLDER holds, for each network, what networks.py wrote. The page's table is written anew.
"""

import argparse
import json
import re
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from scripts.detect import detect
from scripts.get_network import get_network
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detections import read_detections
from scripts.lib.errors import GraphError
from scripts.lib.files import read_json
from scripts.lib.fitting import Fitting
from tests.exporters.families import NETWORKS, Exported
from tests.exporters.pictures import pictures

ENGINES = ("openvino", "onnxruntime")
HEAD = (
    "| network | family | boxes compared | largest difference: pixels, score | frames/s, times the exporter's |\n"
    "|---|---|---|---|---|\n"
)


def taken(exported: Exported, source: Path, folder: Path) -> NetworkFiles:
    """Get a network as the workflow does."""
    graph = folder / exported.graph
    get_network(
        graph=graph,
        train_ini=folder / "train.ini",
        provenance=folder / "provenance.json",
        directory=source,
        weights=folder / "graph.bin" if graph.suffix == ".xml" else None,
        **exported.settings,
    )
    family = read_json(folder / "provenance.json")["description"]["family"]
    if family != exported.family:
        raise AssertionError(f"{source}: recognised as {family}; expected {exported.family}")
    return NetworkFiles(graph, folder / "train.ini", folder / "provenance.json", [])


def asked(exported: Exported, engine: str, threshold: float) -> DetectOptions:
    """Return what a job is asked."""
    sides = {key: exported.settings.get(key) for key in ("img_max_side", "img_min_side")}
    return DetectOptions(
        **sides, keep_threshold=threshold, batch_size=4, frame_stride=1, frame_range=None, max_frames=None,
        engine=engine, precision="f32", engines=Path("engines"), nms=None, pixels=None, first_label=None, threads=2,
    )  # fmt: skip


def found_in(picture: np.ndarray, network: NetworkFiles, options: DetectOptions, folder: Path) -> np.ndarray:
    """Return what the step finds in a picture: (n, 6) x1, y1, x2, y2, score, label from 0."""
    media = folder / "picture.png"
    cv2.imwrite(str(media), picture)
    ready = {"media_id": 5, "state": "ready", "reason": None}
    (folder / "record.json").write_text(
        json.dumps(ready | {"name": "picture", "kind": "image", "width": 1, "height": 1})
    )
    (folder / "download.json").write_text(json.dumps(ready))
    detect(
        media=[media],
        records=[folder / "record.json"],
        downloads=[folder / "download.json"],
        network_files=network,
        detections=[folder / "found.csv"],
        outcomes=[folder / "found.json"],
        previews=[folder / "previews.zip"],
        options=options,
    )
    rows = [
        (row.x, row.y, row.x + row.w, row.y + row.h, row.score, row.species - 1)
        for row in read_detections(folder / "found.csv")
    ]
    return np.array(rows, np.float64).reshape(-1, 6)


def differences(
    found: np.ndarray, oracle: np.ndarray, size: tuple[int, int], threshold: float
) -> tuple[int, float, float]:
    """Return how many boxes were compared, and how far they are off at most: as sets, the nearest of the same label.

    Boxes whose score is within a hundredth of the threshold (or the threshold itself, where it is less) may be on one
    side alone; each box of either side must have a partner otherwise. Boxes without area on the picture are left out,
    as the step leaves them out.
    """
    limit = np.array([size[0], size[1]] * 2, np.float64)
    oracle = np.concatenate([np.clip(oracle[:, :4], 0, limit), oracle[:, 4:]], 1)
    oracle = oracle[((oracle[:, 2:4] - oracle[:, :2]) > 0.002).all(axis=1)]
    compared, boxes, scores, least = 0, 0.0, 0.0, threshold + min(0.01, threshold)
    for some, others in ((found, oracle), (oracle, found)):
        for row in some[some[:, 4] > least]:
            same = others[others[:, 5] == row[5]]
            if not len(same):
                return compared, float("inf"), float("inf")
            apart = np.abs(same[:, :4] - row[:4]).max(axis=1)
            # Of boxes that are as near, the one with the nearest score.
            best = np.lexsort((np.abs(same[:, 4] - row[4]), np.round(apart, 2)))[0]
            boxes, scores = max(boxes, apart[best]), max(scores, abs(same[best, 4] - row[4]))
            compared += 1
    return compared, boxes, scores


def rate(network: NetworkFiles, options: DetectOptions, picture: np.ndarray) -> float:
    """Return how many frames a second the engine and what is around it do, in batches."""
    from scripts.lib.suppression import select

    opened = Network(network, options)
    with opened.load() as engine:
        fitting = Fitting(opened.resize, opened.size)
        batch = np.zeros((options.batch_size, engine.size.height, engine.size.width, 3), np.uint8)

        def once() -> None:
            for place in batch:
                fitting.fit(picture, place)
            outputs = engine.infer(batch)
            for pair in zip(outputs.boxes, outputs.scores, strict=True):
                select(*pair, options.keep_threshold, engine.nms)

        once()
        started, rounds = time.perf_counter(), 0
        while rounds < 2 or time.perf_counter() - started < 2:
            once()
            rounds += 1
    return rounds * options.batch_size / (time.perf_counter() - started)


def refusal(name: str, source: Path) -> dict[str, Any]:
    """Return what is said of a network that is to be refused."""
    exported, said = NETWORKS[name], "nothing"
    with TemporaryDirectory() as folder:
        try:
            taken(exported, source, Path(folder))
        except GraphError as error:
            said = str(error)
    return {"name": name, "said": said, "within": str(exported.refused) in said}


def compare(name: str, source: Path) -> dict[str, Any]:
    """Compare one network, on each engine that reads it."""
    exported, oracle = NETWORKS[name], np.load(source / "oracle.npz")
    threshold = float(oracle["threshold"])
    result: dict[str, Any] = {"name": name, "family": exported.family, "compared": 0, "boxes": 0.0, "scores": 0.0}
    with TemporaryDirectory() as folder:
        network = taken(exported, source, Path(folder))
        for engine in ENGINES if exported.graph.endswith(".onnx") else ENGINES[:1]:
            options = asked(exported, engine, threshold)
            for at, picture in enumerate(pictures()):
                if exported.fixed_frames and at:
                    continue
                expected = np.column_stack([oracle[f"{kind}_{at}"] for kind in ("boxes", "scores", "labels")])
                found = found_in(picture, network, options, Path(folder))
                size = (picture.shape[1], picture.shape[0])
                count, boxes, scores = differences(found, expected.reshape(-1, 6), size, threshold)
                result["compared"] += count
                for key, value in (("boxes", boxes), ("scores", scores)):
                    result[key] = max(result[key], value)
                    result[f"{engine} {key}"] = max(result.get(f"{engine} {key}", 0.0), value)
        result["times"] = rate(network, asked(exported, "openvino", threshold), pictures()[0]) / float(oracle["rate"])
    within = result["boxes"] <= exported.tolerance[0] and result["scores"] <= exported.tolerance[1]
    return result | {"within": bool(within and result["compared"])}


def row(result: dict[str, Any]) -> str:
    """Return a row of the table."""
    off = f"{result['boxes']:.2g}, {result['scores']:.1g}" if result["compared"] else "-"
    return f"| {result['name']} | `{result['family']}` | {result['compared']} | {off} | {result['times']:.1f} |\n"


def main() -> int:
    """Compare; return 0 when all are within their tolerances."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    results = []
    for name in given.names or NETWORKS:
        if (given.folder / name / "oracle.npz").exists():
            results.append((refusal if NETWORKS[name].refused else compare)(name, given.folder / name))
            print(json.dumps(results[-1]), flush=True)
        else:
            print(f"{name}: was not exported", flush=True)
    if given.page:
        text = given.page.read_text(encoding="utf-8")
        table = HEAD + "".join(row(result) for result in results if "said" not in result)
        given.page.write_text(re.sub(re.escape(HEAD) + r"(\|.*\n)*", lambda _: table, text), encoding="utf-8")
    return 0 if all(result["within"] for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
