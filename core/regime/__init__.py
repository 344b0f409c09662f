"""Regimes: the pump detector and regime of a symbol, and the regime of the whole market."""
