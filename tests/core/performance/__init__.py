"""Tests of core.performance."""
