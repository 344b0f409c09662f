"""Pre-trade checks as one ordered table, and position sizing."""
