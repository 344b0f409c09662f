"""Tests of core.book."""
