"""Tests of core.candles."""
