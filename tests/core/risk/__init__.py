"""Tests of core.risk."""
