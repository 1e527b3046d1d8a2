"""How stored values are sealed: as they are, or AES-256-GCM with the first key."""

import hashlib
import os
from collections.abc import Sequence
from typing import Any

PLAIN = b"P"
SEALED = b"E"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12


class CannotOpen(ValueError):
    """No key for a value, a plain one where none may be, or one that was altered or moved."""


class Cipher:
    """Seals and opens values: ``P`` + the value, or ``E`` + key id (4 bytes) + nonce (12) + AES-GCM's output.

    ``place`` says where a value belongs; one that was moved does not open. ``required``: plain values are refused.
    """

    def __init__(self, keys: Sequence[bytes] = (), *, required: bool = False):
        self._required = required
        self._keys: dict[bytes, Any] = {}
        self._first_id = b""
        if keys:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            ids = [hashlib.sha256(key).digest()[:_KEY_ID_BYTES] for key in keys]
            self._keys = {key_id: AESGCM(key) for key_id, key in zip(ids, keys, strict=True)}
            self._first_id = ids[0]

    def seal(self, data: bytes, place: bytes) -> bytes:
        if not self._keys:
            return PLAIN + data
        nonce = os.urandom(_NONCE_BYTES)
        sealed: bytes = self._keys[self._first_id].encrypt(nonce, data, place)
        return SEALED + self._first_id + nonce + sealed

    def open(self, value: bytes, place: bytes) -> bytes:
        """The bytes given to ``seal``. Raises CannotOpen."""
        if value[:1] == PLAIN:
            if self._required:
                raise CannotOpen("A stored value is not encrypted.")
            return value[1:]
        key = self._keys.get(value[1 : 1 + _KEY_ID_BYTES]) if value[:1] == SEALED else None
        if key is None:
            raise CannotOpen("A stored value is encrypted with a key that is not configured, or damaged.")
        from cryptography.exceptions import InvalidTag

        body = value[1 + _KEY_ID_BYTES :]
        try:
            opened: bytes = key.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError) as error:
            raise CannotOpen("A stored value was altered or belongs elsewhere.") from error
        return opened
