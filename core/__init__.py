"""The deterministic trading system: no clock, socket, file, thread, log or unseeded randomness."""
