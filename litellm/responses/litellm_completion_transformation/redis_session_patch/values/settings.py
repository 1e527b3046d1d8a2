"""The operator's settings: environment variables, read once, validated, frozen."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

PREFIX = "REDIS_SESSION_PATCH_"
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_KEY_BYTES = 32


class SettingError(ValueError):
    """A setting has a value that cannot be used; the message names it, its value and what was expected."""


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise SettingError(f"{name}={text!r}: expected true or false.")
    return text.lower() in _TRUE


def _whole_number(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) < 1:
        raise SettingError(f"{name}={text!r}: expected a whole number of at least 1.")
    return int(text)


def _text(_: str, text: str) -> str:
    return text


def _seconds(name: str, text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text) or not 0 < float(text) <= 60:
        raise SettingError(f"{name}={text!r}: expected seconds, more than 0 and at most 60 (for example 0.5).")
    return float(text)


def _on_miss(name: str, text: str) -> str:
    if text.lower() not in ("continue", "error"):
        raise SettingError(f"{name}={text!r}: expected continue or error.")
    return text.lower()


def _redis_url(name: str, text: str) -> str:
    try:
        if re.match(r"(rediss?|unix)://", text) and urlsplit(text).port != 0:
            return text
    except ValueError:
        pass
    # Never echo the value: it may hold a password.
    expected = "redis://, rediss:// or unix:// and an address, special characters in the password written as %XX"
    raise SettingError(f"{name}: expected {expected}.")


def _encryption_keys(name: str, text: str) -> tuple[bytes, ...]:
    """Each in hex, or in base64 of either alphabet, padded or not."""
    keys = []
    for number, part in enumerate(map(str.strip, text.split(",")), 1):
        standard = part.replace("-", "+").replace("_", "/") + "=" * (-len(part) % 4)
        try:
            is_hex = re.fullmatch(r"[0-9a-fA-F]{64}", part)
            keys.append(bytes.fromhex(part) if is_hex else base64.b64decode(standard, validate=True))
        except ValueError:
            keys.append(b"")
        if len(keys[-1]) != _KEY_BYTES:  # A secret: its position is named, not its text.
            raise SettingError(
                f"{name}: key {number} is not usable; expected {_KEY_BYTES} bytes in base64 or hex"
                " (make one with: openssl rand -base64 32), several separated by commas."
            )
    return tuple(keys)


def _setting(variable: str, read: Callable[[str, str], Any], default: Any) -> Any:
    return field(default=default, metadata={"variable": variable, "read": read})


@dataclass(frozen=True)
class Settings:
    """What the operator chose.

    ``ttl_seconds``: life of a response after its last use, ``max_age_seconds`` of a conversation after its first turn.
    ``timeout_seconds``: for a connection to Redis, and for each answer; a request waits at most twice that each time.
    ``on_miss``: ``continue`` or ``error``. ``native``: turns of models with a Responses endpoint of their own are
    stored too. ``encryption_keys``: 32 bytes each, the first encrypts, all decrypt. ``max_turn_bytes`` bounds the JSON
    of a turn, ``max_conversation_bytes`` that of a response and all turns before it,
    or what they take in Redis if that is more; ``max_turns`` their number and that of a conversation over all branches,
    ``max_owner_bytes`` what all conversations of one owner take. ``shape``: whether replies have all
    fields of OpenAI's. ``compaction_model``, ``compaction_prompt``: who is to
    write summaries, and how it is asked. ``max_jobs``: background responses that run at once in
    a worker, ``max_owner_jobs`` those of one owner anywhere; ``max_events`` and ``max_event_bytes`` bound what is kept
    of the stream of one, ``events_ttl_seconds`` how long after its last event.
    """

    enabled: bool = _setting(f"{PREFIX}ENABLED", _boolean, True)
    ttl_seconds: int = _setting(f"{PREFIX}TTL", _whole_number, 86_400)
    max_age_seconds: int | None = _setting(f"{PREFIX}MAX_AGE", _whole_number, None)
    url: str | None = _setting(f"{PREFIX}URL", _redis_url, None)
    timeout_seconds: float = _setting(f"{PREFIX}TIMEOUT", _seconds, 0.5)
    on_miss: str = _setting(f"{PREFIX}ON_MISS", _on_miss, "continue")
    native: bool = _setting(f"{PREFIX}NATIVE", _boolean, False)
    encryption_keys: tuple[bytes, ...] = _setting(f"{PREFIX}ENCRYPTION_KEY", _encryption_keys, ())
    encryption_required: bool = _setting(f"{PREFIX}ENCRYPTION_REQUIRED", _boolean, False)
    store_unlogged: bool = _setting(f"{PREFIX}STORE_UNLOGGED", _boolean, False)
    max_turn_bytes: int = _setting(f"{PREFIX}MAX_TURN_BYTES", _whole_number, 16 * 1024 * 1024)
    max_conversation_bytes: int = _setting(f"{PREFIX}MAX_CONVERSATION_BYTES", _whole_number, 64 * 1024 * 1024)
    max_turns: int = _setting(f"{PREFIX}MAX_TURNS", _whole_number, 2_000)
    max_owner_bytes: int | None = _setting(f"{PREFIX}MAX_OWNER_BYTES", _whole_number, None)
    shape: bool = _setting(f"{PREFIX}SHAPE", _boolean, True)
    compaction_model: str | None = _setting(f"{PREFIX}COMPACTION_MODEL", _text, None)
    compaction_prompt: str | None = _setting(f"{PREFIX}COMPACTION_PROMPT", _text, None)
    max_jobs: int = _setting(f"{PREFIX}BACKGROUND_MAX_JOBS", _whole_number, 500)
    max_owner_jobs: int = _setting(f"{PREFIX}BACKGROUND_MAX_OWNER_JOBS", _whole_number, 100)
    max_events: int = _setting(f"{PREFIX}BACKGROUND_MAX_EVENTS", _whole_number, 8_192)
    max_event_bytes: int = _setting(f"{PREFIX}BACKGROUND_MAX_EVENT_BYTES", _whole_number, 16 * 1024 * 1024)
    events_ttl_seconds: int = _setting(f"{PREFIX}BACKGROUND_EVENTS_TTL", _whole_number, 600)


_FIELDS = {each.metadata["variable"]: each for each in fields(Settings)}


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from environment variables; a variable that is unset or empty keeps its default.

    Raises SettingError for a value that cannot be used.
    """
    values: dict[str, Any] = {}
    for variable, its_field in _FIELDS.items():
        if text := environ.get(variable, "").strip():
            values[its_field.name] = its_field.metadata["read"](variable, text)
        if values.get("enabled") is False:  # Who switches it off in a hurry must not be stopped by another setting.
            return Settings(enabled=False)
    settings = Settings(**values)
    if settings.encryption_required and not settings.encryption_keys:
        raise SettingError(f"{PREFIX}ENCRYPTION_REQUIRED=true: expected a key in {PREFIX}ENCRYPTION_KEY too.")
    return settings


def unknown_settings(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Variables with our prefix that are no setting: most likely typing errors."""
    return tuple(sorted(name for name in environ if name.startswith(PREFIX) and name not in _FIELDS))
