"""Small networks of transformers' families, with random weights: their configuration, class and processor."""

from typing import Any

import torch
from torch import nn

LABELS = {number: f"class {number}" for number in range(7)}
_NAMED = {"id2label": LABELS, "label2id": {name: number for number, name in LABELS.items()}}


class Plain(nn.Module):
    """A model that returns a tuple, as exporters require."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        # The exporter restores the mode that it finds here, also for `model`. In training mode, the package would
        # predict with dropout and the statistics of the batch.
        self.eval()

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and boxes."""
        found = self.model(pixel_values=pixel_values)
        return found.logits, found.pred_boxes


def fix_positions(model: nn.Module) -> None:
    """Use the position embeddings of the model's own size, as ONNX has no operator for their interpolation."""
    for part in model.modules():
        if hasattr(part, "interpolate_pos_encoding"):
            part.interpolate_pos_encoding = lambda *_, own=part: own.position_embeddings


def enliven(model: nn.Module) -> None:
    """Make random weights as large as trained ones; with initial weights, all queries find the same box."""
    for part in model.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_normal_(part.weight)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight)
    for name, values in model.named_parameters():
        if name.endswith(("tokens", "position_embeddings")):
            nn.init.normal_(values)


def _resnet(package: Any) -> Any:
    return package.RTDetrResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 64, 128], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip


def _hgnet(package: Any) -> Any:
    return package.HGNetV2Config(
        embedding_size=16, hidden_sizes=[16, 32, 64, 128], depths=[1, 1, 1, 1], stem_channels=[3, 8, 16],
        stage_in_channels=[16, 16, 32, 64], stage_mid_channels=[8, 8, 16, 16], stage_out_channels=[16, 32, 64, 128],
        stage_num_blocks=[1, 1, 1, 1], out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip


def _small() -> dict[str, Any]:
    return {
        "d_model": 64, "encoder_hidden_dim": 64, "encoder_in_channels": [32, 64, 128], "encoder_ffn_dim": 128,
        "decoder_in_channels": [64, 64, 64], "decoder_ffn_dim": 128, "decoder_layers": 2, "num_queries": 100,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "anchor_image_size": None, **_NAMED,
    }  # fmt: skip


def rt_detr(package: Any) -> tuple[Any, Any, Any]:
    """Return an RT-DETR."""
    configuration = package.RTDetrConfig(backbone_config=_resnet(package), **_small())
    return configuration, package.RTDetrForObjectDetection, package.RTDetrImageProcessor


def d_fine(package: Any) -> tuple[Any, Any, Any]:
    """Return a D-FINE."""
    configuration = package.DFineConfig(backbone_config=_hgnet(package), **_small())
    return configuration, package.DFineForObjectDetection, package.RTDetrImageProcessor


def deimv2(package: Any) -> tuple[Any, Any, Any]:
    """Return a DEIMv2."""
    configuration = package.Deimv2Config(backbone_config=_hgnet(package), **_small())
    return configuration, package.Deimv2ForObjectDetection, package.RTDetrImageProcessor


def _of_windows() -> dict[str, Any]:
    """Return the settings that LW-DETR and RF-DETR, with windows of a transformer's features, have in common."""
    return {
        "d_model": 64, "decoder_ffn_dim": 128, "decoder_layers": 2, "num_queries": 100, "group_detr": 1,
        "decoder_self_attention_heads": 4, "decoder_cross_attention_heads": 4, **_NAMED,
    }  # fmt: skip


def _transformer() -> dict[str, Any]:
    return {
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "patch_size": 16,
        "image_size": 480,
    }


def lw_detr(package: Any) -> tuple[Any, Any, Any]:
    """Return an LW-DETR."""
    backbone = package.LwDetrViTConfig(
        **_transformer(), num_windows=4, window_block_indices=[0, 2], out_features=["stage2", "stage4"]
    )
    configuration = package.LwDetrConfig(backbone_config=backbone, projector_scale_factors=[1.0], **_of_windows())
    return configuration, package.LwDetrForObjectDetection, package.DeformableDetrImageProcessor


def rf_detr(package: Any) -> tuple[Any, Any, Any]:
    """Return an RF-DETR of transformers."""
    backbone = package.RfDetrDinov2Config(**_transformer(), num_windows=2, out_features=["stage2", "stage4"])
    configuration = package.RfDetrConfig(backbone_config=backbone, **_of_windows())
    return configuration, package.RfDetrForObjectDetection, package.RfDetrImageProcessor


def _of_detr(package: Any, queries: int) -> dict[str, Any]:
    backbone = package.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 16, 32, 32], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage4"],
    )  # fmt: skip
    return {
        "use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None, "backbone_config": backbone,
        "d_model": 64, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_queries": queries, **_NAMED,
    }  # fmt: skip


def detr(package: Any) -> tuple[Any, Any, Any]:
    """Return a DETR."""
    return package.DetrConfig(**_of_detr(package, 50)), package.DetrForObjectDetection, package.DetrImageProcessor


def conditional_detr(package: Any) -> tuple[Any, Any, Any]:
    """Return a Conditional DETR, with more queries than its processor returns boxes."""
    configuration = package.ConditionalDetrConfig(**_of_detr(package, 150))
    return configuration, package.ConditionalDetrForObjectDetection, package.ConditionalDetrImageProcessor


def yolos(package: Any) -> tuple[Any, Any, Any]:
    """Return a YOLOS."""
    configuration = package.YolosConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, image_size=[480, 640],
        num_detection_tokens=50, **_NAMED,
    )  # fmt: skip
    return configuration, package.YolosForObjectDetection, package.YolosImageProcessor


CONFIGS = {
    "rt_detr": rt_detr, "d_fine": d_fine, "detr": detr, "conditional_detr": conditional_detr, "yolos": yolos,
    "deimv2": deimv2, "lw_detr": lw_detr, "rf_detr": rf_detr,
}  # fmt: skip
