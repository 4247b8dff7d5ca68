"""Frames as a network expects them."""
