"""What was earned, and how: orders, trades and figures from the messages execution booked."""
