"""Common parts of the exports for other programs: MegaDetector's JSON, YOLO, CVAT and Label Studio."""
