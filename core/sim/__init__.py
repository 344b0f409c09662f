"""The simulator: book-local paper matcher, money arithmetic and the exact paper account."""
