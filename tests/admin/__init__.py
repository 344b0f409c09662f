"""Tests of admin/: REST contract, push frames, controls, views over a real plant in one process."""
