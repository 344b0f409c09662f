"""Before the plant exists: addresses, lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.paths import DataPaths
from workers.starting import StartError, take_lock, venue_address


@pytest.mark.parametrize(
    ("name", "rest", "ws_public"),
    [
        ("mainnet", "https://api.bybit.com", "wss://stream.bybit.com/v5/public/linear"),
        ("demo", "https://api-demo.bybit.com", "wss://stream.bybit.com/v5/public/linear"),
        ("https://api.bybit.nl/", "https://api.bybit.nl", "wss://stream.bybit.nl/v5/public/linear"),
        ("https://api-testnet.bybit.com", "https://api-testnet.bybit.com", "wss://stream-testnet.bybit.com/v5/public/linear"),
        ("http://127.0.0.1:4000", "http://127.0.0.1:4000", "ws://127.0.0.1:4001/v5/public/linear"),
        ("http://10.0.0.1:1,ws://10.0.0.1:9/x", "http://10.0.0.1:1", "ws://10.0.0.1:9/x"),
    ],
)
def test_addresses(name: str, rest: str, ws_public: str) -> None:
    address = venue_address(name)
    assert address is not None and (address["rest"], address["ws_public"]) == (rest, ws_public)


def test_embedded_has_none_yet() -> None:
    assert venue_address("embedded") is None


@pytest.mark.parametrize("name", ["", "nowhere", "http://example.org", "ftp://api.bybit.com", "http://", "http://a,b"])
def test_others_are_refused_with_a_fix(name: str) -> None:
    with pytest.raises(ValueError, match="REST,WS"):
        venue_address(name)


def test_one_instance_per_folder(tmp_path: Path) -> None:
    paths = DataPaths(tmp_path, "SIM")
    lock = take_lock(paths)
    with pytest.raises(StartError, match="another instance") as caught:
        take_lock(paths)
    assert caught.value.code == 7
    lock.close()
    take_lock(paths).close()
