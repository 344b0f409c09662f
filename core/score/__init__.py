"""FinalScalpScore of both sides, with the contribution of every term."""
