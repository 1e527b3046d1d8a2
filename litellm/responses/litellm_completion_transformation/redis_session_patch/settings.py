"""The operator's settings: environment variables, read once, validated, frozen."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

PREFIX = "REDIS_SESSION_PATCH_"
KEY_BYTES = 32
_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")


class SettingError(ValueError):
    """A setting has a value that cannot be used; the message names it, its value and what was expected."""


@dataclass(frozen=True)
class Settings:
    """What the operator chose.

    ``ttl_seconds``: life of a response after its last use, ``max_age_seconds`` of a conversation after its first turn.
    ``timeout_seconds``: what reading, and what storing, may delay a request. ``on_miss``: ``continue`` or ``error``.
    ``encryption_keys``: 32 bytes each, the first encrypts, all decrypt. ``max_turn_bytes`` bounds the JSON of a turn,
    ``max_conversation_bytes`` what a response and all turns before it take in Redis, ``max_turns`` their number.
    """

    enabled: bool = True
    ttl_seconds: int = 86_400
    max_age_seconds: int | None = None
    url: str | None = None
    timeout_seconds: float = 0.5
    on_miss: str = "continue"
    encryption_keys: tuple[bytes, ...] = ()
    encryption_required: bool = False
    store_unlogged: bool = False
    max_turn_bytes: int = 16 * 1024 * 1024
    max_conversation_bytes: int = 64 * 1024 * 1024
    max_turns: int = 2_000


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from environment variables; a variable that is unset or empty keeps its default.

    Raises SettingError for a value that cannot be used.
    """
    given = {name: environ[name].strip() for name in _READERS if environ.get(name, "").strip()}
    if _SWITCH in given and not _boolean(_SWITCH, given[_SWITCH]):
        return Settings(enabled=False)  # Who switches it off in a hurry must not be stopped by another setting.
    values = {_READERS[name][0]: _READERS[name][1](name, text) for name, text in given.items()}
    settings = Settings(**values)
    if settings.encryption_required and not settings.encryption_keys:
        raise SettingError(f"{PREFIX}ENCRYPTION_REQUIRED=true: expected a key in {PREFIX}ENCRYPTION_KEY too.")
    return settings


def unknown_settings(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Variables with our prefix that are no setting: most likely typing errors."""
    return tuple(sorted(name for name in environ if name.startswith(PREFIX) and name not in _READERS))


def _boolean(name: str, text: str) -> bool:
    word = text.lower()
    if word not in (*_TRUE, *_FALSE):
        raise SettingError(f"{name}={text!r}: expected true or false.")
    return word in _TRUE


def _whole_number(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) < 1:
        raise SettingError(f"{name}={text!r}: expected a whole number of at least 1.")
    return int(text)


def _seconds(name: str, text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text) or not 0 < float(text) <= 60:
        raise SettingError(f"{name}={text!r}: expected seconds, more than 0 and at most 60 (for example 0.5).")
    return float(text)


def _redis_url(name: str, text: str) -> str:
    # Never echo the value: it may hold a password.
    try:
        usable = re.match(r"(rediss?|unix)://", text) and urlsplit(text).port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingError(
            f"{name}: expected redis://, rediss:// or unix:// and an address, special characters in the password"
            " written as %XX."
        ) from None
    return text


def _on_miss(name: str, text: str) -> str:
    if text.lower() not in ("continue", "error"):
        raise SettingError(f"{name}={text!r}: expected continue or error.")
    return text.lower()


def _encryption_keys(name: str, text: str) -> tuple[bytes, ...]:
    return tuple(_encryption_key(name, number, part.strip()) for number, part in enumerate(text.split(","), 1))


def _encryption_key(name: str, number: int, text: str) -> bytes:
    try:
        key = bytes.fromhex(text) if re.fullmatch(r"[0-9a-fA-F]{64}", text) else _from_base64(text)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        # The value is a secret: name its position, not its text.
        raise SettingError(
            f"{name}: key {number} is not usable; expected {KEY_BYTES} bytes in base64 or hex"
            " (make one with: openssl rand -base64 32), several separated by commas."
        )
    return key


def _from_base64(text: str) -> bytes:
    standard = text.replace("-", "+").replace("_", "/")
    return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)


_SWITCH = f"{PREFIX}ENABLED"
_READERS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    _SWITCH: ("enabled", _boolean),
    f"{PREFIX}TTL": ("ttl_seconds", _whole_number),
    f"{PREFIX}MAX_AGE": ("max_age_seconds", _whole_number),
    f"{PREFIX}URL": ("url", _redis_url),
    f"{PREFIX}TIMEOUT": ("timeout_seconds", _seconds),
    f"{PREFIX}ON_MISS": ("on_miss", _on_miss),
    f"{PREFIX}ENCRYPTION_KEY": ("encryption_keys", _encryption_keys),
    f"{PREFIX}ENCRYPTION_REQUIRED": ("encryption_required", _boolean),
    f"{PREFIX}STORE_UNLOGGED": ("store_unlogged", _boolean),
    f"{PREFIX}MAX_TURN_BYTES": ("max_turn_bytes", _whole_number),
    f"{PREFIX}MAX_CONVERSATION_BYTES": ("max_conversation_bytes", _whole_number),
    f"{PREFIX}MAX_TURNS": ("max_turns", _whole_number),
}
assert {field for field, _ in _READERS.values()} == {field.name for field in fields(Settings)}
