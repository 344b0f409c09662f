"""Micro-candles of 1, 3, 5 and 15 s by event time."""
