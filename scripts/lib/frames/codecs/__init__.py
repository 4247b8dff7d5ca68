"""Read properties of coded pictures from their headers, for each codec: place, time, size, missing pictures."""
