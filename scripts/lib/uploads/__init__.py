"""Boxes brought to Tator: none twice, and no work of people touched."""
