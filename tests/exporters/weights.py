"""Random weights that are suitable for a comparison, and the pictures that they are scaled for."""

from collections.abc import Callable, Iterable

import cv2
import numpy as np
import torch
from torch import nn

from scripts.lib.boxes import Size
from scripts.lib.graphs.description import Resize
from scripts.lib.preprocessing.fitting import Fitting
from tests.exporters.pictures import pictures


def seeded() -> None:
    """Restart the random numbers."""
    torch.manual_seed(0)
    np.random.seed(0)


def spread(
    layers: Iterable[nn.Module],
    run: Callable[[], object],
    *,
    share: float | None = 0.9995,
    even: bool = False,
    highest: float | None = None,
) -> None:
    """Scale the last layers of scores, so that few scores are high and no two are equal.

    Args:
        layers: layers with one output for each class.
        run: runs the network on a picture.
        share: the share of outputs below 1; None to leave the bias 0, as before a softmax.
        even: subtract from each class its mean, so that no class is the best of all boxes; classes are the last axis.
        highest: the highest output, with `share` of them below 0, so that scores stay different in half precision.
    """
    for layer in layers:
        numbers: list[torch.Tensor] = []
        hook = layer.register_forward_hook(lambda _layer, _given, output, kept=numbers: kept.append(output.detach()))
        before = layer.weight.detach().clone(), layer.bias.detach().clone()
        with torch.no_grad():
            layer.weight.normal_(0, 1)
            layer.bias.zero_()
            run()
            hook.remove()
            if not numbers:  # a level that is not used; another may have the same weights
                layer.weight.copy_(before[0])
                layer.bias.copy_(before[1])
                continue
            if even:
                rows = torch.cat([part.flatten(0, -2) for part in numbers])
                layer.bias.sub_(rows.mean(dim=0))
                numbers = [rows + layer.bias]
            found = torch.cat([part.flatten() for part in numbers])
            ordered = found.sort().values
            least = 0.0 if share is None else float(ordered[int(share * (len(ordered) - 1))])
            scale = 2 / float(found.std()) if highest is None else highest / (float(ordered[-1]) - least)
            layer.weight.mul_(scale)
            layer.bias.mul_(scale)
            if share is not None:
                layer.bias.add_((highest is None) - least * scale)


def a_picture(height: int, width: int) -> torch.Tensor:
    """Return the first picture in a size, (1, 3, height, width) RGB, from 0 to 1."""
    rgb = cv2.resize(pictures()[0], (width, height))[..., ::-1]
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None].float() / 255


def letterboxed(side: int) -> torch.Tensor:
    """Return all pictures as the input of a YOLO, (n, 3, side, side) RGB, from 0 to 1."""
    size = Size(side, side)
    fitted = np.empty((len(pictures()), side, side, 3), np.uint8)
    for picture, place in zip(pictures(), fitted, strict=True):
        Fitting(Resize("letterbox", "centre", 114), size).fit(picture, place)
    return torch.from_numpy(np.ascontiguousarray(fitted[..., ::-1].transpose(0, 3, 1, 2))).float() / 255


def layers_of(model: nn.Module, part: str) -> list[nn.Module]:
    """Return the linear and convolutional layers with `part` in their name."""
    return [layer for name, layer in model.named_modules() if part in name and isinstance(layer, nn.Linear | nn.Conv2d)]


def outputs_of(layer: nn.Module) -> int:
    """Return the number of outputs of a layer."""
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def normalize(model: nn.Module, run: Callable[[], object]) -> None:
    """Set the statistics of batch normalization from a run, so that no number is too large or small for fp16.

    Outputs are scaled down too, to a range in which activations are almost linear. Otherwise random layers increase the
    rounding of half precision a hundredfold, and one bit of a pixel moves a box by five pixels.
    """
    parts = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    for part in parts:
        part.train()
        part.momentum = 1.0
        part.weight.data.fill_(0.3)
    with torch.no_grad():
        run()
    for part in parts:
        part.eval()
