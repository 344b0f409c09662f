"""The trading pipeline: one state, one `run_batch`, one digest."""
