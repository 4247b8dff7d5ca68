"""Upload of boxes to Tator: no box twice, and no change of people's work."""
