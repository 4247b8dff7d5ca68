"""The pictures of a media's results."""
