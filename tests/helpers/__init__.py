"""Tests of the helpers that other tests use."""
