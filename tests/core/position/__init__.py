"""Tests of core/position."""
