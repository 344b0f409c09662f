"""launch.py with all its processes."""
