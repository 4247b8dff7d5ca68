"""Still pictures: their kinds, and how they are read."""
