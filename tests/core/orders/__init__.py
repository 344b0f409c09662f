"""Tests of core.orders."""
