"""The DETR families of transformers, of RT-DETR's repository and those based on it, and RF-DETR."""

import math
from collections.abc import Mapping
from typing import Any

from scripts.lib.boxes import Size
from scripts.lib.errors import SettingsError
from scripts.lib.graphs.description import SIDES, BoxFormat, Description, OutputNames, PixelFormat, Resize, Scores
from scripts.lib.graphs.feeding import size_of_input
from scripts.lib.graphs.hints import NetworkHints
from scripts.lib.graphs.signature import Signature
from scripts.lib.suppression import Nms

IMAGENET = PixelFormat("rgb", 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_FRACTIONS = BoxFormat("cxcywh", "fraction")
# Values of model_type in config.json, by the function of the scores.
_SIGMOID = ("rt_detr", "rt_detr_v2", "d_fine", "deimv2", "rf_detr")
_SOFTMAX = ("detr", "yolos", "table-transformer")
# Scores as in RT-DETR, pictures as in DETR. Their processors return a hundred boxes for any number of queries; DETA's
# also suppresses boxes. Values: the IoU of the suppression.
_HUNDRED = {"conditional_detr": 1.0, "dab-detr": 1.0, "deformable_detr": 1.0, "lw_detr": 1.0, "deta": 0.7}
# The second input of graphs of RT-DETR's own exporter: width and height.
_TARGET_SIZES = "orig_target_sizes"
# Pillow's number of the filter in preprocessor_config.json.
_BILINEAR = 2
# Number of columns and of names of an RF-DETR trained on COCO, whose first column has no name; a network trained on 90
# other classes has the same numbers.
_COCO = (91, 90)


def rt_detr(signature: Signature, hints: NetworkHints) -> Description | None:
    """Describe an RT-DETR, D-FINE or RF-DETR of transformers: the scores are sigmoids."""
    if not _is_transformers(signature) or _model_type(hints) in _SOFTMAX:
        return None
    kind = _model_type(hints)
    if kind in _HUNDRED:
        prepared = _prepared(hints, IMAGENET, None)
        suppression = Nms(iou=_HUNDRED[kind], max_detections=100, per_class=True)
    else:
        prepared = _prepared(hints, *((IMAGENET, None) if kind == "rf_detr" else (PixelFormat(), Size(640, 640))))
        suppression = Nms(iou=1.0, max_detections=_queries(signature, hints), per_class=True)
    return _transformers("rt-detr", signature, hints, prepared, Scores("sigmoid"), suppression)


def detr(signature: Signature, hints: NetworkHints) -> Description | None:
    """Describe a DETR or YOLOS of transformers: the scores are a softmax, and its last column is the background."""
    if not _is_transformers(signature) or _model_type(hints) in (*_SIGMOID, *_HUNDRED):
        return None
    prepared = _prepared(hints, IMAGENET, None)
    suppression = Nms(iou=1.0, max_detections=_queries(signature, hints))
    return _transformers("detr", signature, hints, prepared, Scores("softmax", background="last"), suppression)


def rf_detr(signature: Signature, hints: NetworkHints) -> Description | None:
    """Describe an RF-DETR: its output `labels` has a number for each class, and one more."""
    if set(signature.output_names) != {"dets", "labels"} or signature.inputs[0].shape is None:
        return None
    boxes, numbers = (_shape(signature, name) or () for name in ("dets", "labels"))
    # MMDetection's outputs have these names too: boxes with a score, and labels.
    if len(boxes) != 3 or len(numbers) != 3 or boxes[2] not in (4, None):
        return None
    columns = numbers[-1]
    labels = hints.labels
    if columns == hints.names + 1 and labels is None:
        labels = tuple(range(hints.names))
    if hints.first_label is None and ((columns, hints.names) == _COCO or labels == tuple(range(1, hints.names + 1))):
        raise SettingsError(
            f"{signature.source}: scores {columns} classes, of which {hints.names} have a name, and does not say "
            "whether the first name has the column 0, as in networks trained on one's own data, or 1, as in those "
            "trained on COCO: set network.first_label to 0 or 1"
        )
    suppression = Nms(iou=1.0, max_detections=_queries(signature, hints), per_class=True)
    return Description(
        "rf-detr", OutputNames(boxes="dets", scores="labels"), Resize("stretch", values="floats"), IMAGENET, _FRACTIONS,
        Scores("sigmoid"), suppression, labels=labels,
    )  # fmt: skip


def d_fine(signature: Signature, hints: NetworkHints) -> Description | None:
    """Describe an export of RT-DETR's repository, or of one based on it: D-FINE, DEIM, DEIMv2 with an HGNetv2."""
    if signature.takes_patches and hints.family != "d-fine":
        return None
    return _of_own_repository("d-fine", signature, hints, PixelFormat())


def deimv2(signature: Signature, hints: NetworkHints) -> Description | None:
    """Describe a DEIMv2 with a DINOv3, exported by its repository: pixels are normalized with ImageNet's mean."""
    if signature.takes_patches is False and hints.family != "deimv2":
        return None
    return _of_own_repository("deimv2", signature, hints, IMAGENET)


def _of_own_repository(
    family: str, signature: Signature, hints: NetworkHints, pixels: PixelFormat
) -> Description | None:
    """Describe a graph that selects boxes itself, and scales them to the size in its second input."""
    names = {tensor.name for tensor in signature.inputs}
    if names != {"images", _TARGET_SIZES} or set(signature.output_names) != {"labels", "boxes", "scores"}:
        return None
    return Description(
        family, OutputNames(boxes="boxes", scores="scores", labels="labels"), Resize("stretch", filter="antialiased"),
        pixels, labels=hints.labels, inputs={_TARGET_SIZES: SIDES},
    ).with_size(size_of_input(signature.without_inputs({_TARGET_SIZES})) or Size(640, 640))  # fmt: skip


def _transformers(  # noqa: PLR0917, only the two above call it
    family: str,
    signature: Signature,
    hints: NetworkHints,
    prepared: tuple[PixelFormat, Size | None],
    scores: Scores,
    suppression: Nms,
) -> Description:
    columns = (_shape(signature, "logits") or (None,))[-1]
    labels = hints.labels if columns is None or columns > hints.names + (scores.background != "none") else None
    pixels, size = prepared
    # RF-DETR's processor interpolates between four pixels, the others resize as Pillow does.
    resize = Resize("stretch", filter="linear" if _model_type(hints) == "rf_detr" else "antialiased")
    return Description(
        family, OutputNames(boxes="pred_boxes", scores="logits"), resize, pixels, _FRACTIONS, scores, suppression,
        labels=labels,
    ).with_size(size)  # fmt: skip


def _is_transformers(signature: Signature) -> bool:
    return {"logits", "pred_boxes"} <= set(signature.output_names)


def _model_type(hints: NetworkHints) -> str | None:
    found = hints.config.get("model_type")
    return None if found is None else str(found)


def _prepared(hints: NetworkHints, pixels: PixelFormat, size: Size | None) -> tuple[PixelFormat, Size | None]:
    """Return pixel format and size from preprocessor_config.json of transformers, or else the arguments."""
    config = hints.config.get("preprocessor")
    if not isinstance(config, Mapping):
        return pixels, size
    if config.get("resample", _BILINEAR) != _BILINEAR:
        raise SettingsError(
            f"preprocessor_config.json: resample is {config['resample']!r}; expected {_BILINEAR} (bilinear): write "
            "network.description, or export the network with a processor that resizes so"
        )
    divisor, mean, deviation = 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if config.get("do_rescale", True):
        divisor = 1 / _number(config.get("rescale_factor", 1 / 255), "rescale_factor")
    if config.get("do_normalize", False):
        mean = _triple(config.get("image_mean"), "image_mean", positive=False)
        deviation = _triple(config.get("image_std"), "image_std")
    # Rounded, since 1 / (1 / 255) is not exactly 255.
    pixels = PixelFormat("rgb", round(divisor, 6), mean, deviation)
    fixed = config.get("size")
    if isinstance(fixed, Mapping) and None not in (fixed.get("width"), fixed.get("height")):
        return pixels, Size(*(int(_number(fixed[key], f"size.{key}")) for key in ("width", "height")))
    return pixels, None


def _number(value: Any, key: str, *, positive: bool = True) -> float:
    """Return a number of preprocessor_config.json.

    Raises:
        SettingsError: it is of another type, infinite, or not positive.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or (positive and value <= 0):
        raise SettingsError(
            f"preprocessor_config.json: {key} has {value!r}; expected a {'positive ' if positive else ''}number: "
            "correct it, or export the network again"
        )
    return float(value)


def _triple(value: Any, key: str, *, positive: bool = True) -> tuple[float, float, float]:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise SettingsError(f"preprocessor_config.json: {key} is {value!r}; expected three numbers")
    first, second, third = (_number(one, key, positive=positive) for one in value)
    return first, second, third


def _shape(signature: Signature, name: str) -> tuple[int | None, ...] | None:
    return next((output.shape for output in signature.outputs if output.name == name), None)


def _queries(signature: Signature, hints: NetworkHints) -> int:
    """Return the largest number of boxes, from the shape of the outputs or from config.json; 300 if neither has it."""
    for name in ("pred_boxes", "dets"):
        shape = _shape(signature, name)
        if shape is not None and len(shape) == 3 and shape[1] is not None:
            return shape[1]
    count = hints.config.get("num_queries", hints.config.get("num_detection_tokens"))
    return count if isinstance(count, int) and count > 0 else 300
