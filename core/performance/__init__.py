"""What the results say: evidence for and against more capital."""
