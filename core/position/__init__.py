"""What an open position is worth, risks and has seen."""
