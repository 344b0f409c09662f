"""The suite: mirrors the tree; `reference/` holds the naive twins."""
