"""The DETR families: those of transformers, and RF-DETR of its own package."""

from collections.abc import Mapping
from typing import Any

from scripts.lib.boxes import Size
from scripts.lib.engines.feeding import size_of_input
from scripts.lib.errors import SettingsError
from scripts.lib.graphs.description import SIDES, BoxFormat, Description, OutputNames, PixelFormat, Resize, Scores
from scripts.lib.graphs.hints import NetworkHints
from scripts.lib.graphs.signature import Signature
from scripts.lib.suppression import Nms

IMAGENET = PixelFormat("rgb", 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_FRACTIONS = BoxFormat("cxcywh", "fraction")
# config.json's model_type. The others of transformers' detectors have scores that are made like one of these.
_SIGMOID = ("rt_detr", "rt_detr_v2", "d_fine", "deimv2", "rf_detr")
_SOFTMAX = ("detr", "yolos", "table-transformer")
# Scores as RT-DETR's, pictures as DETR's; their processors give a hundred boxes, however many queries there are, and
# that of DETA suppresses. Each with its IoU.
_HUNDRED = {"conditional_detr": 1.0, "dab-detr": 1.0, "deformable_detr": 1.0, "lw_detr": 1.0, "deta": 0.7}
# The second input of RT-DETR's own exporter, width and height.
_TARGET_SIZES = "orig_target_sizes"
# Transformers' filters, by Pillow's number.
_BILINEAR = 2
# Columns, and names that count from 1: what RF-DETR gives for COCO, and for 90 classes of one's own.
_COCO = (91, 90)


def rt_detr(signature: Signature, known: NetworkHints) -> Description | None:
    """Describe an RT-DETR, D-FINE or RF-DETR of transformers: each class has a score of its own, by a sigmoid."""
    if not _is_transformers(signature) or _model_type(known) in _SOFTMAX:
        return None
    kind = _model_type(known)
    if kind in _HUNDRED:
        prepared = _prepared(known, IMAGENET, None)
        suppression = Nms(iou=_HUNDRED[kind], max_detections=100, per_class=True)
    else:
        prepared = _prepared(known, *((IMAGENET, None) if kind == "rf_detr" else (PixelFormat(), Size(640, 640))))
        suppression = Nms(iou=1.0, max_detections=_queries(signature, known), per_class=True)
    return _transformers("rt-detr", signature, known, prepared, Scores("sigmoid"), suppression)


def detr(signature: Signature, known: NetworkHints) -> Description | None:
    """Describe a DETR or YOLOS of transformers: a softmax, whose last column is no object."""
    if not _is_transformers(signature) or _model_type(known) in (*_SIGMOID, *_HUNDRED):
        return None
    prepared = _prepared(known, IMAGENET, None)
    suppression = Nms(iou=1.0, max_detections=_queries(signature, known))
    return _transformers("detr", signature, known, prepared, Scores("softmax", background="last"), suppression)


def rf_detr(signature: Signature, known: NetworkHints) -> Description | None:
    """Describe an RF-DETR: its output `labels` holds numbers for each class, one more than there are."""
    if set(signature.output_names) != {"dets", "labels"} or signature.inputs[0].shape is None:
        return None
    boxes, numbers = (_shape(signature, name) or () for name in ("dets", "labels"))
    # MMDetection's have these names too: boxes with their score, and a label each.
    if len(boxes) != 3 or len(numbers) != 3 or boxes[2] not in (4, None):
        return None
    columns = numbers[-1]
    labels = known.labels
    if columns == known.names + 1 and labels is None:
        labels = tuple(range(known.names))
    if known.first_label is None and ((columns, known.names) == _COCO or labels == tuple(range(1, known.names + 1))):
        raise SettingsError(
            f"{signature.source}: scores {columns} classes, of which {known.names} have a name, and does not say "
            "whether the first name has the column 0, as in networks trained on one's own data, or 1, as in those "
            "trained on COCO: set network.first_label to 0 or 1"
        )
    suppression = Nms(iou=1.0, max_detections=_queries(signature, known), per_class=True)
    return Description(
        "rf-detr", OutputNames(boxes="dets", scores="labels"), Resize("stretch", values="floats"), IMAGENET, _FRACTIONS,
        Scores("sigmoid"), suppression, labels=labels,
    )  # fmt: skip


def d_fine(signature: Signature, known: NetworkHints) -> Description | None:
    """Describe what RT-DETR's own repository exports, and those made from it: D-FINE, DEIM, DEIMv2 with an HGNetv2."""
    if signature.takes_patches and known.family != "d-fine":
        return None
    return _of_own_repository("d-fine", signature, known, PixelFormat())


def deimv2(signature: Signature, known: NetworkHints) -> Description | None:
    """Describe a DEIMv2 of its own repository, with a DINOv3 inside: pixels less ImageNet's mean."""
    if signature.takes_patches is False and known.family != "deimv2":
        return None
    return _of_own_repository("deimv2", signature, known, IMAGENET)


def _of_own_repository(
    family: str, signature: Signature, known: NetworkHints, pixels: PixelFormat
) -> Description | None:
    """Describe a graph that chooses its boxes inside, and maps them to the size that its second input says."""
    names = {one.name for one in signature.inputs}
    if names != {"images", _TARGET_SIZES} or set(signature.output_names) != {"labels", "boxes", "scores"}:
        return None
    return Description(
        family, OutputNames(boxes="boxes", scores="scores", labels="labels"), Resize("stretch", filter="antialiased"),
        pixels, labels=known.labels, inputs={_TARGET_SIZES: SIDES},
    ).with_size(size_of_input(signature.without_inputs({_TARGET_SIZES})) or Size(640, 640))  # fmt: skip


def _transformers(  # noqa: PLR0917, only the two above call it
    family: str,
    signature: Signature,
    known: NetworkHints,
    prepared: tuple[PixelFormat, Size | None],
    scores: Scores,
    suppression: Nms,
) -> Description:
    columns = (_shape(signature, "logits") or (None,))[-1]
    labels = known.labels if columns is None or columns > known.names + (scores.background != "none") else None
    pixels, size = prepared
    # RF-DETR's processor looks at four pixels, the others' as Pillow does.
    resize = Resize("stretch", filter="linear" if _model_type(known) == "rf_detr" else "antialiased")
    return Description(
        family, OutputNames(boxes="pred_boxes", scores="logits"), resize, pixels, _FRACTIONS, scores, suppression,
        labels=labels,
    ).with_size(size)  # fmt: skip


def _is_transformers(signature: Signature) -> bool:
    return {"logits", "pred_boxes"} <= set(signature.output_names)


def _model_type(known: NetworkHints) -> str | None:
    found = known.config.get("model_type")
    return None if found is None else str(found)


def _prepared(known: NetworkHints, pixels: PixelFormat, size: Size | None) -> tuple[PixelFormat, Size | None]:
    """Return how transformers' preprocessor_config.json prepares pictures, the family's way where there is none."""
    said = known.config.get("preprocessor")
    if not isinstance(said, Mapping):
        return pixels, size
    if said.get("resample", _BILINEAR) != _BILINEAR:
        raise SettingsError(
            f"preprocessor_config.json: resample is {said['resample']!r}; expected {_BILINEAR} (bilinear): write "
            "network.description, or export the network with a processor that resizes so"
        )
    divisor = 1 / float(said.get("rescale_factor", 1 / 255)) if said.get("do_rescale", True) else 1.0
    normalised = bool(said.get("do_normalize", False))
    mean = _triple(said.get("image_mean")) if normalised else (0.0, 0.0, 0.0)
    deviation = _triple(said.get("image_std")) if normalised else (1.0, 1.0, 1.0)
    # 1 / (1 / 255) is not 255 to the last bit.
    pixels = PixelFormat("rgb", round(divisor, 6), mean, deviation)
    fixed = said.get("size")
    if isinstance(fixed, Mapping) and {"height", "width"} <= fixed.keys():
        return pixels, Size(int(fixed["width"]), int(fixed["height"]))
    return pixels, None


def _triple(value: Any) -> tuple[float, float, float]:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise SettingsError(f"preprocessor_config.json: mean or deviation is {value!r}; expected three numbers")
    return (float(value[0]), float(value[1]), float(value[2]))


def _shape(signature: Signature, name: str) -> tuple[int | None, ...] | None:
    return next((output.shape for output in signature.outputs if output.name == name), None)


def _queries(signature: Signature, known: NetworkHints) -> int:
    """Return how many boxes it gives at most; exporters often leave that length open, and config.json says it then."""
    for name in ("pred_boxes", "dets"):
        shape = _shape(signature, name)
        if shape is not None and len(shape) == 3 and shape[1] is not None:
            return shape[1]
    said = known.config.get("num_queries", known.config.get("num_detection_tokens"))
    return said if isinstance(said, int) and said > 0 else 300
