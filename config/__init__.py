"""Typed settings and paths. No logic."""
