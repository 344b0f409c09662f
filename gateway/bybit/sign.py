"""Signatures of Bybit V5 and the keys that make them. No clock, no socket: the caller signs at the moment it writes.

    REST       timestamp + api key + recv window + payload      payload = the raw query string (GET) or raw body (POST)
    WebSocket  "GET/realtime" + expires (ms)

HMAC keys give lower-case hex, RSA keys (a secret in PEM form) RSA-SHA256 in base64. Keys come from the environment and
are shown to nobody: neither `repr` nor an error names them, and what the exchange quotes of them is taken out (`redact`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

PEM_START = "-----BEGIN"
ENVIRONMENT = {"mainnet": "BYBIT", "testnet": "BYBIT_TESTNET", "demo": "BYBIT_DEMO"}
"""Prefix of `<prefix>_API_KEY` and `<prefix>_API_SECRET` by venue; a key belongs to one of them."""
OTHER_VENUE = "SCALPER"
"""Prefix for a venue given by its address."""


class KeyProblem(ValueError):
    """No usable key; the message says which variables to set and never what they hold."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key with its signing function."""

    api_key: str
    sign: Callable[[bytes], str] = field(repr=False)

    def __repr__(self) -> str:
        return f"Credentials({shown(self.api_key)})"

    def redact(self, said: bytes) -> bytes:
        """Words of the exchange without our key: 10004 quotes it in its text. The first thing that is done with every
        answer and frame of a signed connection, so that nothing behind it can log, journal or show the key."""
        key = self.api_key.encode()
        return said.replace(key, shown(self.api_key).encode()) if key in said else said

    def rest_headers(self, timestamp_ms: int, recv_window_ms: int, payload: bytes) -> dict[str, str]:
        """Headers of one REST request whose query string or body is exactly `payload`."""
        origin = f"{timestamp_ms}{self.api_key}{recv_window_ms}".encode() + payload
        return {
            "X-BAPI-API-KEY": self.api_key, "X-BAPI-TIMESTAMP": str(timestamp_ms),
            "X-BAPI-RECV-WINDOW": str(recv_window_ms), "X-BAPI-SIGN": self.sign(origin),
        }

    def ws_auth(self, expires_ms: int, id_name: str, req_id: str) -> bytes:
        """The `auth` request of a private (`id_name` req_id) or trade (reqId) connection, valid until `expires_ms`."""
        args = [self.api_key, expires_ms, self.sign(f"GET/realtime{expires_ms}".encode())]
        return msgspec.json.encode({id_name: req_id, "op": "auth", "args": args})


def shown(api_key: str) -> str:
    """What people may see of a key: its last four characters."""
    return f"…{api_key[-4:]}" if len(api_key) >= 12 else "…"


def credentials(api_key: str, secret: str) -> Credentials:
    """Raises KeyProblem for an empty or unreadable pair."""
    if not api_key or not secret or not (api_key + secret).isascii():
        raise KeyProblem("the API key or its secret is empty or not plain text")
    if secret.lstrip().startswith(PEM_START):
        return Credentials(api_key, rsa_signer(secret))
    raw = secret.encode()
    return Credentials(api_key, lambda text: hmac.new(raw, text, hashlib.sha256).hexdigest())


def rsa_signer(pem: str) -> Callable[[bytes], str]:
    """RSA-SHA256 (PKCS #1 v1.5), base64. Needs the package `cryptography`, which this program does not install.

    Raises KeyProblem when it is missing or the text is no RSA key.
    """
    try:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, rsa
    except ImportError:
        raise KeyProblem("RSA keys need the package `cryptography`; install it or use an HMAC key") from None
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise KeyProblem("the secret starts like a PEM file but holds no unencrypted private key") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyProblem("the secret is a private key, but not an RSA one")
    signer = key
    return lambda text: base64.b64encode(signer.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()


def key_names(venue: str) -> tuple[str, str]:
    """Environment variables with key and secret of a venue (`mainnet`, `testnet`, `demo`, else an address)."""
    prefix = ENVIRONMENT.get(venue, OTHER_VENUE)
    return f"{prefix}_API_KEY", f"{prefix}_API_SECRET"


def from_environment(venue: str, environ: Mapping[str, str]) -> Credentials:
    """The key of a venue. Raises KeyProblem naming the variables that are missing or not usable."""
    names = key_names(venue)
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise KeyProblem(f"set {' and '.join(missing)} in the environment (key of {venue})")
    try:
        return credentials(environ[names[0]].strip(), environ[names[1]].strip())
    except KeyProblem as error:
        raise KeyProblem(f"{names[0]}, {names[1]}: {error}") from None
