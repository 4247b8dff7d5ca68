"""Show the whole chain on one machine: a Tator stand-in, the sample clip and pictures, the unmodified workflow.

Run by `make demo`; `--network fcos` does the same with the sample's second network, in a folder of its own. The last
line of the output is a JSON object for programs.
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
# What a user would set for each of the sample's networks; an ONNX file says its size itself.
NETWORKS: dict[str, dict[str, dict[str, Any]]] = {
    "retinanet": {"network": {"directory": str(SAMPLE)}, "detect": {"img_max_side": 640, "img_min_side": 480}},
    "fcos": {"network": {"directory": str(SAMPLE / "fcos"), "graph": "graph.onnx"}, "detect": {}},
}
# One picture from each of three of the clip's views.
PICTURES = (12, 62, 112)
# Where the stand-in listens if nothing else does: the report's links then lead to it whenever it is started again.
PORT = 8321


def main() -> int:
    """Run the demonstration; return the workflow's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=list(NETWORKS), default="retinanet", help="of the sample")
    parser.add_argument("--folder", type=Path, help="where everything goes, demo or demo-fcos; emptied first")
    given = parser.parse_args()
    folder = (given.folder or ROOT / ("demo" if given.network == "retinanet" else f"demo-{given.network}")).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    make_media(folder / "media")
    with running(folder / "media", folder / "tator", port=free_port(PORT)) as server:
        print(f"Tator stand-in: {server.host}, with {', '.join(server.media.values())}", flush=True)
        environ = {"TATOR_AUTH_TOKEN": server.token}
        command = command_line(folder, settings=settings_for(server, given.network))
        exit_code = interrupts.run_to_its_end(command, environment(environ), folder)
        if exit_code == interrupts.INTERRUPTED:
            return exit_code
        result: dict[str, Any] = {"media": 0, "boxes": 0, "ap50": None}
        if exit_code == 0:
            result = report(server)
    print(f"\nLook at: {folder / 'results' / 'overview.html'}, and beside it detections.csv, detections.coco.json")
    network = NETWORKS[given.network]["network"]["directory"]
    print(f"The settings of this run, to copy for your own: {folder / 'settings.yaml'}; the sample network: {network}")
    print(
        "The report's links lead to Tator; to start the stand-in there again: .venv/bin/python -m tests.tator_server "
        f"--media {folder / 'media'} --state {folder / 'tator'} --port {server.host.rpartition(':')[2]}"
    )
    print(json.dumps({**result, "results": str(folder / "results"), "exit_code": exit_code}))
    return exit_code


def free_port(wanted: int) -> int:
    """Return this port, or 0, which stands for any free one, where something listens at it."""
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
    """Return what a user would write: where Tator is, which media, which network."""
    return {
        "tator": {"host": server.host, "project_id": server.project_id, "media_ids": list(server.media)},
        "network": NETWORKS[network]["network"],
        "detect": {**NETWORKS[network]["detect"], "keep_threshold": 0.3},
        "upload": {"localization_type_id": server.localization_type_id},
        "evaluate": {"truth_file": str(SAMPLE / "aquarium.csv")},
    }


def boxes_in_tator(server: Server) -> list[LabeledBox]:
    """Return what a user would find in Tator, in pixels."""
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
    """Print how the boxes in Tator compare with the true ones; return the figures."""
    found, truth = boxes_in_tator(server), true_boxes(server)
    print("\nBoxes in Tator, against the sample's true boxes:")
    for media_id, name in server.media.items():
        mine = [box for box in found if box.picture[0] == media_id]
        real = [box for box in truth if box.picture[0] == media_id]
        print(f"  {name:20} {len(mine):5} boxes, {len(real):5} true ones, AP50 {ap50(real, mine):.3f}")
    total = ap50(truth, found)
    print(f"  {'all':20} {len(found):5} boxes, {len(truth):5} true ones, AP50 {total:.3f}")
    return {"media": len(server.media), "boxes": len(found), "ap50": round(total, 4)}


if __name__ == "__main__":
    sys.exit(main())
