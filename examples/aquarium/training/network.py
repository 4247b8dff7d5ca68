"""The sample's second network: torchvision's FCOS with a MobileNetV2 and a feature pyramid of 80 channels."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSClassificationHead, FCOSHead, FCOSRegressionHead

CLASSES = 8  # the seven species from 1; 0 is torchvision's background
CHANNELS = 80
STRIDES = (8, 16, 32, 64)
TAPS = (6, 13, 17)  # layers of MobileNetV2 with strides 8, 16, 32
# The first network's input is blue, green, red from 0 to 255 less these; torchvision's transform returns RGB.
MEAN_RGB = (123.68, 116.779, 103.939)

Weights = Mapping[str, npt.NDArray[np.float32]]


class Pyramid(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    """MobileNetV2 without its last layer, and feature maps of four strides from it."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = CHANNELS
        self.body = mobilenet_v2(weights=None).features[:18]
        self.reduced = nn.ModuleList(nn.Conv2d(channels, CHANNELS, 1) for channels in (32, 96, 320))
        self.smoothed = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in TAPS)
        self.coarsest = nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1)
        self.body[:4].requires_grad_(False)  # edges and colours, as on ImageNet

    def train(self, mode: bool = True) -> "Pyramid":
        """Keep the normalization in evaluation mode, as the first network's convolutions already include it."""
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return maps (N, 80, H / stride, W / stride) of normalized pictures (N, 3, H, W), the finest first."""
        taps = []
        for at, layer in enumerate(self.body):
            pictures = layer(pictures)
            if at in TAPS:
                taps.append(pictures)
        maps = [reduce(tap) for reduce, tap in zip(self.reduced, taps, strict=True)]
        for at in (1, 0):
            maps[at] = maps[at] + nn.functional.interpolate(maps[at + 1], size=maps[at].shape[-2:], mode="nearest")
        maps = [smooth(each.relu()).relu() for smooth, each in zip(self.smoothed, maps, strict=True)]
        maps.append(self.coarsest(maps[-1]).relu())
        return {str(at): each for at, each in enumerate(maps)}


class Head(FCOSHead):  # type: ignore[misc]
    """FCOS's head with two convolutions in each branch and no normalization."""

    def __init__(self) -> None:
        super().__init__(32, 1, CLASSES, 0)  # its branches are replaced
        self.classification_head = FCOSClassificationHead(CHANNELS, 1, CLASSES, 2, norm_layer=nn.Identity)
        self.regression_head = FCOSRegressionHead(CHANNELS, 1, 2, norm_layer=nn.Identity)


def fcos(height: int, width: int, score: float = 0.05) -> FCOS:
    """Return the network for pictures of this size, with random weights.

    An anchor is half as large as its stride, so that each level finds objects of 4 to 8 strides, as in the first one.
    """
    anchors = AnchorGenerator(tuple((stride // 2,) for stride in STRIDES), ((1.0,),) * len(STRIDES))
    return FCOS(
        Pyramid(), CLASSES, min_size=height, max_size=width, anchor_generator=anchors, head=Head(),
        image_mean=[value / 255 for value in MEAN_RGB], image_std=[1 / 255] * 3, center_sampling_radius=3.0,
        score_thresh=score, nms_thresh=0.5, detections_per_img=300, topk_candidates=500,
    )  # fmt: skip


@torch.no_grad()  # type: ignore[untyped-decorator]
def start_from(network: FCOS, weights: Weights) -> None:
    """Copy the first network's convolutions (by their names in its graph); boxes agree to first order."""
    body, pyramid, head = network.backbone.body, network.backbone, network.head
    fold = partial(_fold, weights)
    fold("Conv1", body[0][0], body[0][1])
    body[0][0].weight.copy_(body[0][0].weight.flip(1))
    for at, block in enumerate(list(body)[1:]):
        layers, name = list(block.conv), f"block_{at}"
        for part, (convolution, norm, _) in zip(
            ("expand", "depthwise")[-(len(layers) - 2) :], layers[:-2], strict=True
        ):
            fold(f"{name}_{part}", convolution, norm)
        fold(f"{name}_project", layers[-2], layers[-1])
    for level, reduced, smoothed in zip((3, 4, 5), pyramid.reduced, pyramid.smoothed, strict=True):
        fold(f"C{level}_reduced", reduced)
        fold(f"P{level}", smoothed)
    fold("P6", pyramid.coarsest)
    classes, boxes = head.classification_head, head.regression_head
    for branch, kind in ((classes, "classification"), (boxes, "regression")):
        for at in range(2):
            fold(f"pyramid_{kind}_{at}", branch.conv[3 * at])
    kernel, bias = _kernel(weights, "pyramid_classification")
    classes.cls_logits.weight[1:], classes.cls_logits.bias[1:] = kernel, bias
    classes.cls_logits.weight[0], classes.cls_logits.bias[0] = 0, -8
    # The first network's boxes: x = 0.1 r strides * 4 from the middle of a cell, width = exp(0.2 r) strides * 4. FCOS's
    # boxes: the distances of the four sides from the cell's corner, in halves of a stride.
    kernel, bias = _kernel(weights, "pyramid_regression")
    for side in range(4):
        axis, sign = side % 2, -1 if side < 2 else 1
        boxes.bbox_reg.weight[side] = 4 * 0.2 * kernel[axis + 2] + sign * 8 * 0.1 * kernel[axis]
        boxes.bbox_reg.bias[side] = 4 + sign + 4 * 0.2 * bias[axis + 2] + sign * 8 * 0.1 * bias[axis]


def _kernel(weights: Weights, name: str) -> tuple[Tensor, Tensor]:
    kernel = torch.from_numpy(weights[f"{name}/kernel"])
    order = (2, 3, 0, 1) if name.endswith("depthwise") else (3, 2, 0, 1)
    return kernel.permute(order), torch.from_numpy(weights[f"{name}/bias"])


def _fold(weights: Weights, name: str, convolution: nn.Conv2d, norm: nn.BatchNorm2d | None = None) -> None:
    kernel, bias = _kernel(weights, name)
    convolution.weight.copy_(kernel)
    if norm is None:
        convolution.bias.copy_(bias)
    else:  # the kernel includes the trained normalization: this one only adds the bias
        norm.bias.copy_(bias)
        norm.running_var.fill_(1 - norm.eps)
