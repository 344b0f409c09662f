"""The last public trades of every symbol."""
