"""Run the unmodified workflow on one machine with a Tator stand-in, the sample clip and pictures.

Run by `make demo`; `--network fcos` does the same with the sample's second network, in another folder. The last line
of the output is a JSON object for programs.
"""

import argparse
import json
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import cv2
import tator

from examples.accuracy import LabeledBox, ap50, read_truth
from scripts.lib.workflow.processes import interrupts
from tests.tator_server.launch import Server, running
from tests.workflow import ROOT, command_line, environment

SAMPLE = ROOT / "examples" / "aquarium"
# The settings of a user for each of the sample's networks; the ONNX file states its size.
NETWORKS: dict[str, dict[str, dict[str, Any]]] = {
    "retinanet": {"network": {"directory": str(SAMPLE)}, "detect": {"img_max_side": 640, "img_min_side": 480}},
    "fcos": {"network": {"directory": str(SAMPLE / "fcos"), "graph": "graph.onnx"}, "detect": {}},
}
# One picture from each of three of the clip's views.
PICTURES = (12, 62, 112)
# The stand-in's port, if it is free: the report's links then work whenever the stand-in is started again.
PORT = 8321


def main() -> int:
    """Run the demonstration; return the workflow's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=list(NETWORKS), default="retinanet", help="the sample's network to use")
    parser.add_argument("--folder", type=Path, help="folder for all files (demo or demo-fcos); it is emptied first")
    options = parser.parse_args()
    folder = options.folder or ROOT / ("demo" if options.network == "retinanet" else f"demo-{options.network}")
    folder = folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    make_media(folder / "media")
    with running(folder / "media", folder / "tator", port=free_port(PORT)) as server:
        print(f"Tator stand-in: {server.host}, with {', '.join(server.media.values())}", flush=True)
        environ = {"TATOR_AUTH_TOKEN": server.token}
        command = command_line(folder, settings=settings_for(server, options.network))
        exit_code = interrupts.run_to_its_end(command, environment(environ), folder)
        if exit_code == interrupts.INTERRUPTED:
            return exit_code
        result: dict[str, Any] = {"media": 0, "boxes": 0, "ap50": None}
        if exit_code == 0:
            result = report(server)
    print(f"\nLook at: {folder / 'results' / 'overview.html'}, and beside it detections.csv, detections.coco.json")
    network = NETWORKS[options.network]["network"]["directory"]
    print(f"The settings of this run, to copy for your own: {folder / 'settings.yaml'}; the sample network: {network}")
    print(
        "The report's links lead to Tator; to start the stand-in there again: .venv/bin/python -m tests.tator_server "
        f"--media {folder / 'media'} --state {folder / 'tator'} --port {server.host.rpartition(':')[2]}"
    )
    print(json.dumps({**result, "results": str(folder / "results"), "exit_code": exit_code}))
    return exit_code


def free_port(wanted: int) -> int:
    """Return this port, or 0, which means any free port, if it is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted


def make_media(folder: Path) -> None:
    """Put the sample clip and a few of its frames, as pictures, into a folder."""
    folder.mkdir(parents=True)
    shutil.copy(SAMPLE / "aquarium.mp4", folder)
    clip = cv2.VideoCapture(str(SAMPLE / "aquarium.mp4"))
    for frame in range(max(PICTURES) + 1):
        _, picture = clip.read()
        if frame in PICTURES:
            cv2.imwrite(str(folder / f"picture_{frame:03d}.png"), picture)


def settings_for(server: Server, network: str) -> dict[str, Any]:
    """Return the settings that a user would write: Tator's address, the media, the network."""
    return {
        "tator": {"host": server.host, "project_id": server.project_id, "media_ids": list(server.media)},
        "network": NETWORKS[network]["network"],
        "detect": {**NETWORKS[network]["detect"], "keep_threshold": 0.3},
        "upload": {"localization_type_id": server.localization_type_id},
        "evaluate": {"truth_file": str(SAMPLE / "aquarium.csv")},
    }


def boxes_in_tator(server: Server) -> list[LabeledBox]:
    """Return the boxes in Tator, in pixels."""
    api = tator.get_api(server.host, server.token)
    media = {item["id"]: item for item in api.get_media_list(server.project_id)}
    return [
        LabeledBox(
            (box["media"], box["frame"]),
            (
                box["x"] * media[box["media"]]["width"],
                box["y"] * media[box["media"]]["height"],
                box["width"] * media[box["media"]]["width"],
                box["height"] * media[box["media"]]["height"],
            ),
            box["attributes"]["Species"],
            box["attributes"]["Confidence"],
        )
        for box in api.get_localization_list(server.project_id, type=server.localization_type_id)
    ]


def true_boxes(server: Server) -> list[LabeledBox]:
    """Return the sample's true boxes, for the clip and for the pictures made of its frames."""
    truth = []
    for media_id, name in server.media.items():
        if name.endswith(".mp4"):
            truth += read_truth(SAMPLE / "aquarium.csv", media_id)
        else:
            frame = int(Path(name).stem.split("_")[1])
            picture = read_truth(SAMPLE / "aquarium.csv", media_id, [frame])
            truth += [LabeledBox((media_id, 0), box.xywh, box.species) for box in picture]
    return truth


def report(server: Server) -> dict[str, Any]:
    """Compare the boxes in Tator with the true boxes; print and return the figures."""
    found, truth = boxes_in_tator(server), true_boxes(server)
    print("\nBoxes in Tator, against the sample's true boxes:")
    for media_id, name in server.media.items():
        boxes = [box for box in found if box.picture[0] == media_id]
        true = [box for box in truth if box.picture[0] == media_id]
        print(f"  {name:20} {len(boxes):5} boxes, {len(true):5} true ones, AP50 {ap50(true, boxes):.3f}")
    total = ap50(truth, found)
    print(f"  {'all':20} {len(found):5} boxes, {len(truth):5} true ones, AP50 {total:.3f}")
    return {"media": len(server.media), "boxes": len(found), "ap50": round(total, 4)}


if __name__ == "__main__":
    sys.exit(main())
