"""How stored values are sealed: as they are, or AES-256-GCM with the first key."""

import hashlib
import os
from collections.abc import Sequence

PLAIN = b"J"
SEALED = b"E"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12


class WrongKey(ValueError):
    """A value cannot be opened: no key for it, or it was altered or moved."""


class Cipher:
    """Seals and opens values. ``place`` is the Redis key: a value moved to another key does not open."""

    def __init__(self, keys: Sequence[bytes] = ()):
        self._keys = {}
        self._first_id = None
        if keys:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            ids = [hashlib.sha256(key).digest()[:_KEY_ID_BYTES] for key in keys]
            self._keys = {key_id: AESGCM(key) for key_id, key in zip(ids, keys, strict=True)}
            self._first_id = ids[0]

    def seal(self, data: bytes, place: str) -> bytes:
        if self._first_id is None:
            return PLAIN + data
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._keys[self._first_id].encrypt(nonce, data, place.encode())
        return SEALED + self._first_id + nonce + sealed

    def open(self, value: bytes, place: str) -> bytes:
        """The bytes given to ``seal``. Raises WrongKey."""
        if value[:1] == PLAIN:
            return value[1:]
        if value[:1] != SEALED:
            raise WrongKey("A stored value has an unknown form.")
        key = self._keys.get(value[1 : 1 + _KEY_ID_BYTES])
        if key is None:
            raise WrongKey("A stored value is encrypted with a key that is not configured.")
        from cryptography.exceptions import InvalidTag

        body = value[1 + _KEY_ID_BYTES :]
        try:
            return key.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError) as error:
            raise WrongKey("A stored value was altered or belongs elsewhere.") from error
