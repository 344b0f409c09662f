"""Order books of a shard's symbols: sorted flat arrays of ticks and lots, best level first."""
