"""Texts and numbers in files and messages."""
