"""The trade state machine of a symbol, as a table."""
