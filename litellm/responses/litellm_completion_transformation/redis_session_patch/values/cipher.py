"""How stored text is sealed: as it is, or AES-256-GCM with a key of its conversation's own."""

import hashlib
import hmac
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from .results import Unreadable

_PLAIN, _SEALED = b"P", b"E"
_KEY_ID_BYTES, _NONCE_BYTES = 4, 12


class Cipher:
    """Seals and opens values: ``P`` + the value, or ``E`` + key id (4 bytes) + nonce (12) + AES-GCM's output.

    ``context``: the conversation. Each has a key derived from the operator's (NIST SP 800-108, HMAC-SHA-256 in counter
    mode, one block), because random nonces under one key for all would repeat after some 2**32 values. ``position``:
    where in it a value belongs; one that was moved does not open. ``required``: plain values are refused. ``overhead``:
    how many bytes longer a sealed value is.
    """

    def __init__(self, keys: Sequence[bytes] = (), *, required: bool = False):
        self._required = required
        self._keys = {hashlib.sha256(key).digest()[:_KEY_ID_BYTES]: key for key in keys}
        self._first_id = next(iter(self._keys), b"")
        self.overhead = len(self.seal(b"", b"", b""))

    def seal(self, data: bytes, context: bytes, position: bytes) -> bytes:
        if not self._keys:
            return _PLAIN + data
        nonce = os.urandom(_NONCE_BYTES)
        sealed: bytes = _cipher_of(self._keys[self._first_id], context).encrypt(nonce, data, position)
        return _SEALED + self._first_id + nonce + sealed

    def open(self, value: bytes, context: bytes, position: bytes) -> bytes:
        """The bytes given to ``seal``. Raises Unreadable."""
        if value[:1] == _PLAIN:
            if self._required:
                raise Unreadable("A stored value is not encrypted.")
            return value[1:]
        key_id, body = value[1 : 1 + _KEY_ID_BYTES], value[1 + _KEY_ID_BYTES :]
        if value[:1] != _SEALED or key_id not in self._keys:
            raise Unreadable("A stored value is encrypted with a key that is not configured, or damaged.")
        from cryptography.exceptions import InvalidTag

        try:
            cipher = _cipher_of(self._keys[key_id], context)
            opened: bytes = cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], position)
        except (InvalidTag, ValueError) as error:
            raise Unreadable("A stored value was altered or belongs elsewhere.") from error
        return opened


@lru_cache(maxsize=64)
def _cipher_of(key: bytes, context: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(hmac.digest(key, b"\x00\x00\x00\x01litellm_patch\x00" + context + b"\x00\x00\x01\x00", "sha256"))
