"""Seeded whole-system sessions in virtual time."""
