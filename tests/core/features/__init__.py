"""Tests of core.features."""
