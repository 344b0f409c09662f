"""Microstructure features of every symbol, kept up event by event."""
