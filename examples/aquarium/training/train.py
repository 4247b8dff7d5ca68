"""Train the sample's second network, from the first one's convolutions, on the training part of the Aquarium data set.

The validation part chooses nothing but is measured; the test part, of which the sample clip is made, is never read.
"""

import argparse
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.models.detection.fcos import FCOS

from examples.accuracy import LabeledBox, ap50
from examples.aquarium.training.network import fcos, start_from
from examples.aquarium.training.pictures import Labeled, Picture, crop, load, view, weights_by_rarity

CROP = (320, 448)  # height, width
SIZE = (384, 512)
BATCH = 4
RATE = 4e-4  # of the heads and the pyramid; a quarter of it for the body


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with train/ and val/, each with images/ and labels/")
    parser.add_argument("start", type=Path, help="the first network's weights, from first_weights.py")
    parser.add_argument("out", type=Path, help="the .npz file of weights to write")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--minutes", type=float, default=math.inf, help="end the schedule at this time at the latest")
    options = parser.parse_args()
    network = fcos(*CROP)
    start_from(network, np.load(options.start))
    train(network, load(options.data / "train"), options.out, options.steps, options.minutes)
    print(f"AP50 on views of the validation part: {accuracy(network, load(options.data / 'val')):.4f}", flush=True)


def train(network: FCOS, pictures: list[Labeled], out: Path, steps: int, minutes: float) -> None:
    """Train, print the losses, and store the mean of the last weights in the network and in a file."""
    torch.manual_seed(0)
    rng, odds = random.Random(0), weights_by_rarity(pictures)
    body = [value for value in network.backbone.body.parameters() if value.requires_grad]
    others = [value for name, value in network.named_parameters() if ".body." not in name]
    groups = [{"params": body, "lr": RATE / 4}, {"params": others, "lr": RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.02)
    begun, done = time.monotonic(), 0.0

    def factor(step: int) -> float:
        nonlocal done
        done = max(step / steps, (time.monotonic() - begun) / 60 / minutes)
        return min(1, (step + 1) / 50) * (0.01 + 0.99 * (1 + math.cos(math.pi * min(done, 1))) / 2)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.99), use_buffers=False)
    network.to(memory_format=torch.channels_last)
    network.train()
    history: list[list[float]] = []
    while done < 1:
        chosen = [crop(item, *CROP, rng) for item in rng.choices(pictures, odds, k=BATCH)]
        targets = [{"boxes": torch.from_numpy(each.boxes), "labels": torch.from_numpy(each.labels)} for each in chosen]
        with torch.autocast("cpu", torch.bfloat16):  # twice as fast on processors that support it
            losses = network([as_input(each.picture) for each in chosen], targets)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        history.append([value.item() for value in losses.values()])
        if len(history) % 25 == 0:
            spent, means = time.monotonic() - begun, np.mean(history[-25:], 0).round(3)
            print(f"{len(history)} steps, {spent:.0f} s, {list(losses)} {means}", flush=True)
        if len(history) % 100 == 0:
            save(average.module, out)
    save(average.module, out)
    network.load_state_dict(average.module.state_dict())


def save(network: FCOS, out: Path) -> None:
    """Write the weights as NumPy arrays, which are safe to read, unlike PyTorch's files."""
    np.savez(out, **{name: value.numpy() for name, value in network.state_dict().items()})


def as_input(picture: Picture) -> torch.Tensor:
    """Return a picture (H, W, 3) BGR as torchvision's input: (3, H, W), RGB from 0 to 1."""
    return torch.from_numpy(np.ascontiguousarray(picture[..., ::-1])).permute(2, 0, 1).float() / 255


@torch.no_grad()  # type: ignore[untyped-decorator]
def accuracy(network: FCOS, pictures: list[Labeled], least: float = 0.05) -> float:
    """Return the mean AP50 on the pictures' middles, of boxes with at least this score."""
    network.eval()
    network.transform.min_size, network.transform.max_size = (SIZE[0],), SIZE[1]
    truth, found = [], []
    for at, item in enumerate(pictures):
        shown = view(item, *SIZE)
        [result] = network([as_input(shown.picture)])
        kept = result["scores"] >= least
        truth += labeled(at, shown.boxes, shown.labels, np.ones(len(shown.labels)))
        found += labeled(at, *(result[key][kept].numpy() for key in ("boxes", "labels", "scores")))
    return ap50(truth, found)


def labeled(at: int, boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> list[LabeledBox]:
    """Return boxes, whose corners are (n, 4), for the evaluation."""
    sides = [(x, y, right - x, bottom - y) for x, y, right, bottom in boxes.tolist()]
    rows = zip(sides, labels.tolist(), scores.tolist(), strict=True)
    return [LabeledBox((at, 0), xywh, str(label), score) for xywh, label, score in rows]


if __name__ == "__main__":
    main()
