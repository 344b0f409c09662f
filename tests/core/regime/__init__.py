"""Tests of core/regime."""
