"""The networks that are exported and compared, one or more of each family."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.exporters.pictures import pictures


@dataclass(frozen=True)
class Exported:
    """A network to export.

    Attributes:
        exporter: the function of networks.py.
        arguments: its arguments after the folder.
        options: its keyword arguments.
        graph: the name of the exported file.
        family: the family that the workflow has to recognize.
        settings: the settings of `network` and of the size that it needs.
        tolerance: the largest allowed difference of boxes (pixels) and scores.
        crop: side in pixels of the square of the first picture to which the comparison is limited.
        batch_size: frames in a batch; 1 for networks that take seconds for a frame.
        refused: part of the message that refuses it, for networks that are not detectors or cannot be run.
        is_half: whether to compare without suppression, and with OpenVINO accept another class with the same score
            within the tolerance, since the package rounds each number to half precision and OpenVINO does not.
        fixed_frames: whether to compare only on the first picture, since the package scales others to other sizes.
    """

    exporter: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    graph: str = "graph.onnx"
    family: str = "ultralytics"
    settings: dict[str, Any] = field(default_factory=dict)
    tolerance: tuple[float, float] = (0.5, 1e-3)
    is_half: bool = False
    fixed_frames: bool = False
    crop: int | None = None
    batch_size: int = 4
    refused: str | None = None

    @property
    def pictures(self) -> list[np.ndarray]:
        """The pictures that it is compared on."""
        made = pictures(self.crop)
        return made[:1] if self.fixed_frames else made


_FRAME = {"img_max_side": 640, "img_min_side": 480}
NETWORKS = {
    "yolov5nu": Exported("ultralytics", ("yolov5n.yaml",)),
    "yolov8n": Exported("ultralytics", ("yolov8n.yaml",)),
    "yolov9t": Exported("ultralytics", ("yolov9t.yaml",)),
    "yolov10n": Exported("ultralytics", ("yolov10n.yaml",)),
    "yolov10n end-to-end": Exported("ultralytics", ("yolov10n.yaml",), {"nms": False}),
    "yolo11n": Exported("ultralytics", ("yolo11n.yaml",)),
    "yolo11n nms": Exported("ultralytics", ("yolo11n.yaml",), {"nms": True}),
    "yolo11n dynamic": Exported("ultralytics", ("yolo11n.yaml",), {"dynamic": True}),
    "yolo11n fp16": Exported("ultralytics", ("yolo11n.yaml",), {"half": True}, tolerance=(2.0, 1e-2), is_half=True),
    "yolo11n 640x384": Exported("ultralytics", ("yolo11n.yaml",), {"imgsz": (384, 640)}),
    "yolo11n batch 2": Exported("ultralytics", ("yolo11n.yaml",), {"batch": 2}),
    "yolo11n openvino": Exported("ultralytics", ("yolo11n.yaml",), {"format": "openvino"}, "graph.xml"),
    "yolo12n": Exported("ultralytics", ("yolo12n.yaml",)),
    "yolo26n": Exported("ultralytics", ("yolo26n.yaml",)),
    "yolo26n end-to-end": Exported("ultralytics", ("yolo26n.yaml",), {"nms": False}),
    "rtdetr-l": Exported("ultralytics", ("rtdetr-l.yaml",), family="ultralytics-rtdetr", batch_size=1),
    "yolov5n": Exported("yolov5", family="yolov5"),
    "yolox-nano": Exported("yolox", family="yolox"),
    "yolox-nano decoded": Exported("yolox", options={"decoded": True}, family="yolox"),
    "RT-DETR": Exported("transformers", ("rt_detr", (640, 640)), family="rt-detr"),
    "D-FINE": Exported("transformers", ("d_fine", (640, 640)), family="rt-detr"),
    "DETR": Exported("transformers", ("detr", (640, 480)), family="detr", settings=_FRAME, fixed_frames=True),
    "Conditional DETR": Exported(
        "transformers", ("conditional_detr", (640, 480)), family="rt-detr", settings=_FRAME, fixed_frames=True
    ),
    "YOLOS": Exported("transformers", ("yolos", (640, 480)), family="detr", settings=_FRAME, fixed_frames=True),
    "DEIMv2": Exported("transformers", ("deimv2", (640, 640)), family="rt-detr"),
    # Random weights choose queries by the rounding of a pixel, so a part of the frame is used that is not resized.
    "LW-DETR": Exported("transformers", ("lw_detr", (480, 480)), family="rt-detr", crop=480),
    "RF-DETR of transformers": Exported("transformers", ("rf_detr", (480, 480)), family="rt-detr", crop=480),
    "RF-DETR nano": Exported("rfdetr", family="rf-detr", crop=384),
    "RF-DETR nano resized": Exported("rfdetr", (0.6,), {"queries": 576}, family="rf-detr"),
    "SSDLite": Exported(
        "torchvision", ("ssdlite320_mobilenet_v3_large", 0.02), family="torchvision", settings=_FRAME, fixed_frames=True
    ),
    "SSDLite batch 2": Exported(
        "torchvision", ("ssdlite320_mobilenet_v3_large", 0.02), {"batch": 2}, family="torchvision", fixed_frames=True
    ),
    "Faster R-CNN": Exported(
        "torchvision",
        ("fasterrcnn_mobilenet_v3_large_320_fpn", 0.05),
        family="torchvision",
        settings=_FRAME,
        fixed_frames=True,
    ),
    "RetinaNet": Exported(
        "torchvision",
        ("retinanet_resnet50_fpn_v2", 0.5),
        family="torchvision",
        settings=_FRAME,
        fixed_frames=True,
        batch_size=1,
    ),
    "FCOS": Exported(
        "torchvision",
        ("fcos_resnet50_fpn", 0.2),
        family="torchvision",
        settings=_FRAME,
        fixed_frames=True,
        batch_size=1,
    ),
    "SSDLite of TensorFlow": Exported(
        "tensorflow_api", graph="graph.pb", family="tensorflow", settings=_FRAME, fixed_frames=True
    ),
    "yolo11n-seg": Exported("without_oracle", ("yolo11n-seg.yaml",), refused="outlines of objects (segmentation)"),
    "yolo11n-pose": Exported("without_oracle", ("yolo11n-pose.yaml",), refused="key points of objects (pose)"),
    "yolo11n-cls": Exported("without_oracle", ("yolo11n-cls.yaml",), refused="one class for a whole picture"),
    "yolo11n-obb": Exported("without_oracle", ("yolo11n-obb.yaml",), refused="turned boxes (oriented bounding boxes)"),
    "a plugin of TensorRT": Exported("plugin", refused="the operator 'EfficientNMS_TRT'"),
}
