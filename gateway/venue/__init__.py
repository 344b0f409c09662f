"""An embedded Bybit V5 exchange on loopback, public side: synthetic markets or tapes behind the real protocol."""
