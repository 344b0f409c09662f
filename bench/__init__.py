"""One bench per question; each prints a digest of what it computed and ratios against peers of the same run."""
