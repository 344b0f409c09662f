"""Operator interface: Flask pages and REST on waitress, live push on picows. Reads boards, writes only its own words."""
