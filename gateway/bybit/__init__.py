"""Bybit V5 linear public protocol, sans I/O: bytes in, cells and verdicts out. No sockets, no clocks."""
