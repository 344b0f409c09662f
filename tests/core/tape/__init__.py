"""Tests of core.tape."""
