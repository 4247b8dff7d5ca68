"""A simple detection program to compare the workflow with: OpenCV, onnxruntime and suppression, frame by frame."""

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np
import onnxruntime  # type: ignore[import-untyped]

MEAN = np.array([103.939, 116.779, 123.68], np.float32)


def main() -> None:
    """Write the boxes of a video: frame, x, y, width, height, score, class."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--video", "--onnx", "--csv", "--pb"):
        parser.add_argument(name, type=Path, required=name != "--pb")
    for name in ("--width", "--height", "--threads"):
        parser.add_argument(name, type=int, required=True)
    for name in ("--threshold", "--iou"):
        parser.add_argument(name, type=float, required=True)
    args = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(args.onnx, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    video = cv2.VideoCapture(str(args.video))
    number = 0
    with args.csv.open("w", newline="") as stream:
        rows = csv.writer(stream)
        while True:
            read, frame = video.read()
            if not read:
                break
            height, width = frame.shape[:2]
            scale = max(width / args.width, height / args.height)
            right, bottom = round(args.width * scale) - width, round(args.height * scale) - height
            padded = cv2.copyMakeBorder(frame, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
            pixels = cv2.resize(padded, (args.width, args.height)).astype(np.float32) - MEAN
            boxes, scores = (output[0] for output in session.run(None, {name: pixels[None]}))
            labels, best = scores.argmax(axis=1), scores.max(axis=1)
            sure = best >= args.threshold
            boxes, labels, best = boxes[sure] * scale, labels[sure], best[sure]
            boxes[:, 2:] -= boxes[:, :2]
            for index in cv2.dnn.NMSBoxes(boxes.tolist(), best.tolist(), args.threshold, args.iou):
                rows.writerow([number, *boxes[index].tolist(), float(best[index]), int(labels[index])])
            number += 1


if __name__ == "__main__":
    main()
