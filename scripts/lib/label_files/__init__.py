"""Boxes in the forms that other programs read: MegaDetector's JSON, YOLO, CVAT and Label Studio."""
