"""
Proofs of who sent a webhook, over the bytes as they came: HubSpot's signatures (v1, v2, v3), HMAC-SHA256 of a
relay, shared secrets. Comparing takes the same time whatever differs. Reads no clock.
"""

import base64
import hashlib
import hmac

WINDOW_MS = 300_000  # HubSpot: older requests are refused

# What HubSpot decodes in the address before it signs; everything else stays percent-encoded.
_DECODED = {
    "%3A": ":",
    "%2F": "/",
    "%3F": "?",
    "%40": "@",
    "%21": "!",
    "%24": "$",
    "%27": "'",
    "%28": "(",
    "%29": ")",
    "%2A": "*",
    "%2C": ",",
    "%3B": ";",
}


def same(given: str, expected: str) -> bool:
    """Tell in constant time whether two proofs are the same; an empty one never is."""
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def digest(*parts: bytes) -> str:
    """Return by what a delivery is known again: a hash in which no part can run into the next."""
    known = hashlib.sha256()
    for part in parts:
        known.update(len(part).to_bytes(8, "big"))
        known.update(part)
    return known.hexdigest()


def is_fresh(stamp_ms: int, *, now_ms: int, window_ms: int = WINDOW_MS) -> bool:
    """Tell whether a stamp lies in the window that ends now; one from the future does not."""
    return 0 <= now_ms - stamp_ms <= window_ms


def hmac_hex(secret: str, body: bytes) -> str:
    """Return HMAC-SHA256 in lower hexadecimal."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def hmac_base64(secret: str, body: bytes) -> str:
    """Return HMAC-SHA256 in base64."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def is_hmac(given: str, *, secret: str, body: bytes) -> bool:
    """Check an HMAC-SHA256 in hexadecimal or base64, with or without the mark `sha256=`."""
    proof = given.strip().removeprefix("sha256=")
    is_hex = same(proof.lower(), hmac_hex(secret, body))
    is_base64 = same(proof, hmac_base64(secret, body))
    return bool(secret) and (is_hex or is_base64)


def hubspot_v1(*, secret: str, body: bytes) -> str:
    """Return HubSpot's signature v1: SHA-256 of secret and body."""
    return hashlib.sha256(secret.encode() + body).hexdigest()


def hubspot_v2(*, secret: str, method: str, uri: str, body: bytes) -> str:
    """Return HubSpot's signature v2: SHA-256 of secret, method, address and body."""
    return hashlib.sha256(secret.encode() + method.encode() + uri.encode() + body).hexdigest()


def hubspot_v3(*, secret: str, method: str, uri: str, body: bytes, timestamp: str) -> str:
    """Return HubSpot's signature v3: HMAC-SHA256 of method, address, body and stamp, in base64."""
    return hmac_base64(secret, method.encode() + hubspot_uri(uri).encode() + body + timestamp.encode())


def hubspot_uri(uri: str) -> str:
    """Return an address as HubSpot signs it: some reserved characters decoded, without a fragment."""
    decoded = uri.partition("#")[0]
    for encoded, char in _DECODED.items():
        decoded = decoded.replace(encoded, char).replace(encoded.lower(), char)
    return decoded
