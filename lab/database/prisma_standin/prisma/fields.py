"""The two value wrappers of the Prisma client: `Json` for input, `Base64` for Bytes columns."""

from __future__ import annotations

import base64
import json
from typing import Any


class Json:
    """Marks a value as JSON data; as in Prisma, a bare string given for a Json field is JSON text
    instead.
    """

    def __init__(self, data: Any) -> None:
        self.data = data

    @classmethod
    def keys(cls, **data: Any) -> Json:
        return cls(data)

    def dumps(self) -> str:
        return json.dumps(self.data, default=str)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Json) and other.data == self.data

    def __repr__(self) -> str:
        return f"Json({self.data!r})"


class Base64:
    """Bytes, carried as base64 text like Prisma does."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    @classmethod
    def encode(cls, data: bytes) -> Base64:
        return cls(base64.b64encode(data))

    @classmethod
    def fromb64(cls, data: bytes | str) -> Base64:
        return cls(data.encode() if isinstance(data, str) else data)

    def decode(self) -> bytes:
        return base64.b64decode(self._raw)

    def decode_str(self, encoding: str = "utf-8") -> str:
        return self.decode().decode(encoding)

    def __str__(self) -> str:
        return self._raw.decode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Base64) and other._raw == self._raw
