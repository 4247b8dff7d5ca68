"""Export a network, and detect with its own package: one process for each network.

Run in the exporters' environment: `python -m tests.exporters.networks NAME FOLDER`. FOLDER gets the network as its
exporter writes it, `names.txt`, and `oracle.npz`: for each picture boxes (n, 4) in its pixels, scores and labels. The
process then prints the rate of the package's own loop for each line of input. The networks have seeded random weights,
whose last layers are scaled so that some boxes have high scores.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.exporters.oracle_file import MOST_BOXES, THRESHOLD, Found, limit_threads, write
from tests.exporters.pictures import pictures
from tests.exporters.weights import a_picture, layers_of, letterboxed, normalize, outputs_of, seeded, spread


def ultralytics(folder: Path, yaml: str, threshold: float = THRESHOLD, **options: Any) -> None:
    """Export with Ultralytics (AGPL-3.0: used here, never shipped)."""
    from ultralytics import RTDETR, YOLO

    seeded()
    is_rtdetr = "rtdetr" in yaml
    model = (RTDETR if is_rtdetr else YOLO)(yaml)
    inner = model.model.eval()
    picture = a_picture(640, 640)
    if is_rtdetr:
        last = [*layers_of(inner, "enc_score_head"), *layers_of(inner, "dec_score_head")]
    else:
        # The last layer of each level computes scores.
        branches = [getattr(inner.model[-1], name, None) for name in ("cv3", "one2one_cv3")]
        last = [level[-1] for branch in branches for level in branch or ()]
    half = bool(options.get("half"))
    if half:
        picture = letterboxed(640)
        normalize(inner, lambda: inner(picture))
    for layer in layers_of(inner, "bbox_head"):
        if outputs_of(layer) == 4:  # 0 before a training: all boxes as the proposals
            layer.weight.data.normal_(0, 0.1)
    share = 0.998 if is_rtdetr else 0.9999
    spread(last, lambda: inner(picture), share=share, even=is_rtdetr, highest=2.0 if half or is_rtdetr else None)
    path = Path(model.export(**{"format": "onnx", **options}))
    if path.is_dir():
        for file in path.iterdir():
            suffix = {".xml": "graph.xml", ".bin": "graph.bin"}.get(file.suffix, file.name)
            (folder / suffix).write_bytes(file.read_bytes())
    else:
        (folder / "graph.onnx").write_bytes(path.read_bytes())
    limit_threads()
    kept = {"iou": 1.0, "max_det": MOST_BOXES} if half else {}
    own = RTDETR(str(path)) if is_rtdetr else YOLO(str(path), task="detect")

    def predict(picture: np.ndarray) -> Found:
        # With a graph of any size, it would otherwise pad less than to the full size.
        [result] = own.predict(picture, conf=threshold, verbose=False, device="cpu", rect=False, **kept)
        boxes = result.boxes
        return boxes.xyxy.numpy(), boxes.conf.numpy(), boxes.cls.numpy()

    write(folder, 80, predict, threshold)


def without_oracle(folder: Path, yaml: str) -> None:
    """Export a network with Ultralytics that has to be refused."""
    from ultralytics import YOLO

    Path(YOLO(yaml).export(format="onnx")).replace(folder / "graph.onnx")
    np.savez(folder / "oracle.npz")


def plugin(folder: Path) -> None:
    """Export a network that ends in TensorRT's own suppression, as exporters of YOLO for TensorRT write it."""

    class Suppression(torch.autograd.Function):
        @staticmethod
        def forward(_context: Any, boxes: torch.Tensor) -> torch.Tensor:
            return boxes

        @staticmethod
        def symbolic(graph: Any, boxes: Any) -> Any:
            return graph.op("TRT::EfficientNMS_TRT", boxes)

    class Network(nn.Conv2d):
        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            return Suppression.apply(super().forward(picture))

    path = str(folder / "graph.onnx")
    torch.onnx.export(Network(3, 6, 3), (torch.rand(1, 3, 64, 64),), path, dynamo=False, opset_version=17)
    np.savez(folder / "oracle.npz")


def torchvision(folder: Path, name: str, threshold: float, *, batch: int | None = None) -> None:
    """Export with torchvision (BSD): of a list with one picture, or of a tensor with several."""
    from torchvision.models import detection

    seeded()
    # RetinaNet halves the frame, as torch and its export round other scales differently, which changes scores of random
    # weights by up to 0.002. FCOS enlarges it by 1.25, less than the default, which takes longer.
    sides = {"retinanet": (240, 320), "fcos": (600, 800)}.get(name.partition("_")[0])
    sizes = {"min_size": sides[0], "max_size": sides[1]} if sides else {}
    model = getattr(detection, name)(weights=None, weights_backbone=None, num_classes=91, **sizes).eval()
    first = torch.from_numpy(np.ascontiguousarray(pictures()[0][..., ::-1])).permute(2, 0, 1) / 255
    if not name.startswith("ssd"):  # otherwise features vanish, and only rounding is compared
        normalize(model, lambda: model([first]))
    softmax = name.startswith(("ssd", "faster"))
    last = [layer for part in ("cls_score", "cls_logits", "classification_head") for layer in layers_of(model, part)]
    last = [layer for layer in last if outputs_of(layer) % 91 == 0]
    # RetinaNet scores 15 million pairs of anchor and class, and keeps 300 boxes. Fewer should reach the threshold, so
    # that equal scores do not decide which are kept.
    share = None if softmax else 0.999999 if name.startswith("retinanet") else 0.9995
    spread(last, lambda: model([first]), share=share, even=name.startswith("faster"))
    # Faster R-CNN: boxes that differ from the proposals.
    spread(layers_of(model, "box_predictor.bbox_pred"), lambda: model([first]), share=None)
    # And proposals without equal scores, which would decide which of them are used.
    spread(layers_of(model, "rpn.head.cls_logits"), lambda: model([first]), share=None)
    given: Any = [torch.rand(3, 480, 640)] if batch is None else torch.rand(batch, 3, 480, 640)
    path = str(folder / "graph.onnx")
    axes = {"picture": {1: "height", 2: "width"}} if batch is None else {}
    torch.onnx.export(model, (given,), path, dynamo=False, opset_version=18, input_names=["picture"], dynamic_axes=axes)

    def predict(frame: np.ndarray) -> Found:
        rgb = torch.from_numpy(np.ascontiguousarray(frame[..., ::-1])).permute(2, 0, 1) / 255
        with torch.no_grad():
            [result] = model([rgb])
        kept = result["scores"] >= threshold
        return tuple(result[key][kept].numpy() for key in ("boxes", "scores", "labels"))

    def from_zero(frame: np.ndarray) -> Found:
        boxes, scores, labels = predict(frame)
        return boxes, scores, labels - 1

    write(folder, 90, from_zero, threshold)


def transformers(folder: Path, kind: str, size: tuple[int, int]) -> None:
    """Export a network of transformers (Apache-2.0) with torch.onnx, with its processor's settings next to it."""
    import transformers as package

    from tests.exporters.tiny import CONFIGS, Plain, enliven, fix_positions

    seeded()
    configuration, model_class, processor_class = CONFIGS[kind](package)
    model = model_class(configuration).eval()
    enliven(model)
    if kind == "rf_detr":
        fix_positions(model)
    if kind == "deimv2":  # otherwise scores consist of the added quality of boxes only
        for layer in layers_of(model, "reg_conf"):
            layer.weight.data.mul_(0.01)
    # The processor with Pillow, as in the workflow: that with torchvision rounds some pixels differently.
    processor = getattr(package, f"{processor_class.__name__}Pil", processor_class)()
    width, height = size
    softmax = kind in ("detr", "yolos")
    parts = ("class_labels_classifier", "enc_score_head", "class_embed")
    last = [layer for part in parts for layer in layers_of(model, part)]
    last = [layer for layer in last if layer.out_features in (configuration.num_labels, configuration.num_labels + 1)]
    picture = a_picture(height, width)
    spread(last, lambda: model(pixel_values=picture), share=None if softmax else 0.98, even=True)
    torch.onnx.export(
        Plain(model), (torch.rand(1, 3, height, width),), str(folder / "graph.onnx"), dynamo=False, opset_version=17,
        input_names=["pixel_values"], output_names=["logits", "pred_boxes"],
        dynamic_axes={name: {0: "batch"} for name in ("pixel_values", "logits", "pred_boxes")},
    )  # fmt: skip
    (folder / "config.json").write_text(json.dumps(configuration.to_dict(), default=str))
    processor.save_pretrained(folder)

    def predict(frame: np.ndarray) -> Found:
        rgb = np.ascontiguousarray(frame[..., ::-1])
        given = processor(images=rgb, return_tensors="pt", size={"height": height, "width": width})
        with torch.no_grad():
            found = model(pixel_values=given["pixel_values"])
        [result] = processor.post_process_object_detection(
            found, threshold=THRESHOLD, target_sizes=[(frame.shape[0], frame.shape[1])]
        )
        return tuple(result[key].numpy() for key in ("boxes", "scores", "labels"))

    write(folder, configuration.num_labels, predict)


def rfdetr(folder: Path, threshold: float = THRESHOLD, *, queries: int = 300) -> None:
    """Export with rfdetr (Apache-2.0).

    With one query for each patch of the picture, 576, all are used; otherwise the rounding of a pixel decides which of
    the random queries are.
    """
    from rfdetr import RFDETRNano

    seeded()
    network = RFDETRNano(pretrain_weights=None, device="cpu", num_queries=queries, num_select=queries)
    inner = network.model.model.eval()
    picture = a_picture(384, 384)
    # The n-th best proposal gets the n-th query. Scores of random proposals are so close that a change of pixels by a
    # millionth changes their order; so all queries are the same.
    inner.query_feat.weight.data[:] = inner.query_feat.weight.data[:1].clone()
    for layer in layers_of(inner, "bbox_embed"):
        if outputs_of(layer) == 4:  # 0 before a training: all boxes as the proposals
            layer.weight.data.normal_(0, 0.1)
    last = [layer for layer in layers_of(inner, "class_embed") if getattr(layer, "out_features", 0) == 91]
    spread(last, lambda: inner(picture), share=0.999)
    network.export(output_dir=str(folder), format="onnx")
    [written] = list(folder.glob("*.onnx"))
    written.rename(folder / "graph.onnx")

    def predict(frame: np.ndarray) -> Found:
        result = network.predict(np.ascontiguousarray(frame[..., ::-1]), threshold=threshold)
        return result.xyxy, result.confidence, result.class_id

    write(folder, 91, predict, threshold)


def yolov5(folder: Path, threshold: float = THRESHOLD) -> None:
    """Export with YOLOv5's own repository, as packaged (GPL-3: used here, never shipped)."""
    import onnx
    import yolov5 as package
    from yolov5.models.yolo import DetectionModel
    from yolov5.utils.augmentations import letterbox
    from yolov5.utils.general import non_max_suppression, scale_boxes

    seeded()
    model = DetectionModel(str(Path(package.__file__).parent / "models/yolov5n.yaml"), ch=3, nc=80).eval()
    spread(model.model[-1].m, lambda: model(a_picture(640, 640)), share=0.5)
    for level in model.model[-1].m:
        level.bias.data.view(3, -1)[:, 4:] -= 3  # of objectness and classes
    model.names = {number: f"class {number}" for number in range(80)}
    for part in model.modules():
        part.inplace = False
        part.export = True
    # As in its export_onnx.
    path = str(folder / "graph.onnx")
    torch.onnx.export(
        model, (torch.rand(1, 3, 640, 640),), path, dynamo=False, opset_version=17,
        input_names=["images"], output_names=["output0"],
    )  # fmt: skip
    written = onnx.load(path)
    onnx.helper.set_model_props(written, {"stride": "32", "names": str(list(model.names.values()))})
    onnx.save(written, path)
    for part in model.modules():
        part.export = False

    def predict(frame: np.ndarray) -> Found:
        picture = letterbox(frame, 640, stride=32, auto=False)[0]
        given = torch.from_numpy(np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1)))[None].float() / 255
        with torch.no_grad():
            found = model(given)[0]
        [rows] = non_max_suppression(found, threshold, 0.45, max_det=1000)
        rows[:, :4] = scale_boxes(given.shape[2:], rows[:, :4], frame.shape)
        return rows[:, :4].numpy(), rows[:, 4].numpy(), rows[:, 5].numpy()

    write(folder, 80, predict, threshold)


def yolox(folder: Path, threshold: float = THRESHOLD, *, decoded: bool = False) -> None:
    """Export with YOLOX, as packaged (Apache-2.0)."""
    from yolox.data.data_augment import preproc
    from yolox.models import YOLOPAFPN, YOLOX, YOLOXHead
    from yolox.utils import postprocess

    seeded()
    width = 0.25
    model = YOLOX(
        YOLOPAFPN(0.33, width, in_channels=[256, 512, 1024], depthwise=True),
        YOLOXHead(80, width, in_channels=[256, 512, 1024], depthwise=True),
    ).eval()
    model.head.decode_in_inference = True
    heads = [*model.head.cls_preds, *model.head.obj_preds]
    spread(heads, lambda: model(a_picture(416, 416) * 255), share=0.98)
    for layer in model.head.reg_preds:
        layer.weight.data.normal_(0, 0.02)
        layer.bias.data.fill_(1.0)
    model.head.decode_in_inference = decoded
    torch.onnx.export(
        model, (torch.rand(1, 3, 416, 416),), str(folder / "graph.onnx"), dynamo=False, opset_version=17,
        input_names=["images"], output_names=["output"],
    )  # fmt: skip
    model.head.decode_in_inference = True

    def predict(frame: np.ndarray) -> Found:
        given, ratio = preproc(frame, (416, 416))
        with torch.no_grad():
            found = model(torch.from_numpy(given)[None])
        [rows] = postprocess(found, 80, threshold, 0.45, class_agnostic=True)
        if rows is None:
            return np.zeros((0, 4)), np.zeros(0), np.zeros(0)
        return (rows[:, :4] / ratio).numpy(), (rows[:, 4] * rows[:, 5]).numpy(), rows[:, 6].numpy()

    write(folder, 80, predict, threshold)


def main() -> None:
    """Export one network."""
    from tests.exporters.families import NETWORKS

    name, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    network = NETWORKS[name]
    globals()[network.exporter](folder, *network.arguments, **network.options)


if __name__ == "__main__":
    main()
