"""Records of depth zones and walls: features (f8, nan = not known), watched levels, zone sums, settings in use."""

from __future__ import annotations

from core.records import _record

WALLS = _record(
    "WALLS", 160, "depth around the touch, big resting orders and what became of them; nan = not known",
    ("imbalance_ticks", "f8", "-1..1", "(bid - ask) / (bid + ask) of the lots within `depth.zone_ticks` of each touch"),
    ("imbalance_bps", "f8", "-1..1", "the same within `depth.zone_bps` of each touch"),
    ("depth_bid_usdt", "f8", "USDT", "value of the visible bids within `depth.zone_bps` of the best bid"),
    ("depth_ask_usdt", "f8", "USDT", "value of the visible asks within `depth.zone_bps` of the best ask"),
    ("thinning", "f8", "x", "depth of both sides now / its average over `depth.average_s`; under 1 = thinner than usual"),
    ("wall_bid_bps", "f8", "bps", "distance of the strongest bid wall from the mid; nan = no wall"),
    ("wall_bid_x", "f8", "x", "its size in average levels; 0 = no wall"),
    ("wall_bid_age_s", "f8", "s", "how long it has stood; 0 = no wall"),
    ("wall_ask_bps", "f8", "bps", "distance of the strongest ask wall from the mid; nan = no wall"),
    ("wall_ask_x", "f8", "x", "its size in average levels; 0 = no wall"),
    ("wall_ask_age_s", "f8", "s", "how long it has stood; 0 = no wall"),
    ("wall_support", "f8", "0..100", "WallSupportScore: bid walls by size, distance, age and trust"),
    ("wall_resistance", "f8", "0..100", "WallResistanceScore: the same of the asks"),
    ("spoof", "f8", "0..100", "SpoofingScore: walls pulled without trades, decaying"),
    ("spoof_lean", "f8", "-1..1", "side on which walls are pulled: + bid walls are fake, - ask walls; 0 = none or both"),
    ("absorb_bid", "f8", "0..100", "bid walls that take aggressive sells, decaying"),
    ("absorb_ask", "f8", "0..100", "ask walls that take aggressive buys, decaying"),
    ("iceberg_bid", "f8", "0..100", "bids refilled after trades took them, decaying"),
    ("iceberg_ask", "f8", "0..100", "asks refilled after trades took them, decaying"),
    ("layering", "f8", "0..100", "walls moved a few ticks instead of standing, decaying"),
)
