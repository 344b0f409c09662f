"""Signatures against pybit's and the venue's, keys from the environment, and that nothing shows a secret."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pybit._http_manager import generate_signature

from gateway.bybit.sign import KeyProblem, credentials, from_environment, key_names, shown
from gateway.venue.signing import rest_signature, ws_signature

KEY, SECRET = "XXXXXXXXXXabcd", "s3cr3t-of-nobody"


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


def test_rest_headers_follow_the_documented_string():
    payload = b"category=option&symbol=BTC-29JUL22-25000-C"
    headers = credentials(KEY, SECRET).rest_headers(1658384314791, 5000, payload)
    origin = f"1658384314791{KEY}5000{payload.decode()}"
    assert headers == {
        "X-BAPI-API-KEY": KEY, "X-BAPI-TIMESTAMP": "1658384314791", "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": generate_signature(False, SECRET, origin),
    }
    assert headers["X-BAPI-SIGN"] == rest_signature(SECRET, "1658384314791", KEY, "5000", payload)
    assert len(headers["X-BAPI-SIGN"]) == 64 and headers["X-BAPI-SIGN"] == headers["X-BAPI-SIGN"].lower()


@pytest.mark.parametrize("id_name", ["req_id", "reqId"])
def test_ws_auth(id_name: str):
    message = json.loads(credentials(KEY, SECRET).ws_auth(1711010121452, id_name, "0-1"))
    assert message == {id_name: "0-1", "op": "auth", "args": [KEY, 1711010121452, ws_signature(SECRET, "1711010121452")]}


def test_rsa_keys_sign_as_pybit_does():
    text = pem(rsa.generate_private_key(65537, 2048))
    signed = credentials(KEY, text).sign(b"1658384314791XX5000{}")
    assert signed == generate_signature(True, text, "1658384314791XX5000{}")


@pytest.mark.parametrize(("key", "secret"), [("", SECRET), (KEY, ""), ("k\u00e9y", SECRET), (KEY, "-----BEGIN nothing-----")])
def test_unusable_pairs(key: str, secret: str):
    with pytest.raises(KeyProblem) as caught:
        credentials(key, secret)
    assert not secret or secret not in str(caught.value)


def test_other_private_keys_are_refused():
    with pytest.raises(KeyProblem, match="not an RSA"):
        credentials(KEY, pem(ec.generate_private_key(ec.SECP256R1())))


def test_nothing_shows_the_secret():
    held = credentials(KEY, SECRET)
    for said in (repr(held), str(held), f"{held}", repr([held])):
        assert SECRET not in said and KEY not in said and "abcd" in said
    assert shown("short") == "…"


@pytest.mark.parametrize(
    ("venue", "names"),
    [("mainnet", ("BYBIT_API_KEY", "BYBIT_API_SECRET")),
     ("testnet", ("BYBIT_TESTNET_API_KEY", "BYBIT_TESTNET_API_SECRET")),
     ("demo", ("BYBIT_DEMO_API_KEY", "BYBIT_DEMO_API_SECRET")),
     ("http://127.0.0.1:1", ("SCALPER_API_KEY", "SCALPER_API_SECRET"))],
)
def test_a_key_belongs_to_its_venue(venue: str, names: tuple[str, str]):
    assert key_names(venue) == names
    assert from_environment(venue, dict(zip(names, (KEY, SECRET), strict=True))).api_key == KEY
    with pytest.raises(KeyProblem, match=names[1]) as caught:
        from_environment(venue, {names[0]: KEY})
    assert KEY not in str(caught.value)
