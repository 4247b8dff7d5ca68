"""Boxes that were found, against true ones or other runs."""
