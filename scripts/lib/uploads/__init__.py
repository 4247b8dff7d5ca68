"""Upload of boxes to Tator: none twice, and no work of people changed."""
