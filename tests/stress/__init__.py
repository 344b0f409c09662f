"""Two processes hammering shared memory."""
