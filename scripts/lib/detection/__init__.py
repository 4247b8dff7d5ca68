"""Boxes of media: what a job of detection is asked, and how it goes on."""
