"""Every bench runs in its small size."""
