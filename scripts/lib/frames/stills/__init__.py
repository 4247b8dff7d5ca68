"""Read still pictures, and recognize their kinds."""
