"""Tests of core.sim."""
