"""The environment variables: defaults, good values, and what a bad one says."""

from __future__ import annotations

import base64
import dataclasses

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.values.settings import (
    SettingError,
    Settings,
    read_settings,
    unknown_settings,
)

PREFIX = "REDIS_SESSION_PATCH_"
KEY, OTHER_KEY = bytes(range(224, 256)), bytes(range(32))


def read(name: str, value: str) -> Settings:
    return read_settings({PREFIX + name: value})


def error_of(name: str, value: str) -> str:
    with pytest.raises(SettingError) as caught:
        read(name, value)
    assert caught.value.__cause__ is None and (caught.value.__suppress_context__ or caught.value.__context__ is None)
    return str(caught.value)


def test_without_variables_the_documented_defaults_hold():
    settings = read_settings({"PATH": "/bin"})
    assert (settings.enabled, settings.ttl_seconds, settings.url) == (True, 86_400, None)
    assert (settings.on_miss, settings.encryption_keys, settings.store_unlogged) == ("continue", (), False)
    assert 0 < settings.timeout_seconds <= 1
    assert settings.max_turn_bytes >= 1_000_000 and settings.max_turns >= 1_000
    assert settings.max_conversation_bytes > settings.max_turn_bytes
    assert settings.max_age_seconds is None and not settings.encryption_required
    assert settings.max_owner_bytes is None


@pytest.mark.parametrize(
    "name, value, field, expected",
    [
        ("ENABLED", "false", "enabled", False),
        ("ENABLED", "OFF", "enabled", False),
        ("ENABLED", "0", "enabled", False),
        ("ENABLED", "no", "enabled", False),
        ("ENABLED", " True ", "enabled", True),
        ("ENABLED", "1", "enabled", True),
        ("STORE_UNLOGGED", "true", "store_unlogged", True),
        ("STORE_UNLOGGED", "yes", "store_unlogged", True),
        ("TTL", "1", "ttl_seconds", 1),
        ("TTL", " 3600 ", "ttl_seconds", 3600),
        ("URL", "redis://:pw@cache:6380/2", "url", "redis://:pw@cache:6380/2"),
        ("URL", "rediss://cache", "url", "rediss://cache"),
        ("URL", "unix:///run/redis.sock", "url", "unix:///run/redis.sock"),
        ("TIMEOUT", "2", "timeout_seconds", 2.0),
        ("TIMEOUT", "0.25", "timeout_seconds", 0.25),
        ("TIMEOUT", "60", "timeout_seconds", 60.0),
        ("ON_MISS", "ERROR", "on_miss", "error"),
        ("ON_MISS", "continue", "on_miss", "continue"),
        ("MAX_TURN_BYTES", "1000", "max_turn_bytes", 1000),
        ("MAX_TURNS", "7", "max_turns", 7),
        ("MAX_CONVERSATION_BYTES", "5000", "max_conversation_bytes", 5000),
        ("MAX_OWNER_BYTES", "9000", "max_owner_bytes", 9000),
        ("MAX_AGE", "2592000", "max_age_seconds", 2_592_000),
        ("ENCRYPTION_REQUIRED", "no", "encryption_required", False),
    ],
)
def test_a_good_value_sets_its_field_and_no_other(name, value, field, expected):
    assert read(name, value) == dataclasses.replace(Settings(), **{field: expected})


@pytest.mark.parametrize(
    "name, value, expectation",
    [
        ("ENABLED", "maybe", "expected true or false"),
        ("STORE_UNLOGGED", "2", "expected true or false"),
        ("TTL", "0", "whole number of at least 1"),
        ("TTL", "-5", "whole number of at least 1"),
        ("TTL", "1.5", "whole number of at least 1"),
        ("TTL", "1_000", "whole number of at least 1"),
        ("TTL", "24h", "whole number of at least 1"),
        ("TTL", "٣", "whole number of at least 1"),
        ("TTL", "9" * 30, "whole number of at least 1"),
        ("MAX_TURN_BYTES", "16MB", "whole number of at least 1"),
        ("MAX_TURNS", "many", "whole number of at least 1"),
        ("MAX_CONVERSATION_BYTES", "64MB", "whole number of at least 1"),
        ("MAX_OWNER_BYTES", "0", "whole number of at least 1"),
        ("MAX_OWNER_BYTES", "1GB", "whole number of at least 1"),
        ("MAX_AGE", "0", "whole number of at least 1"),
        ("MAX_AGE", "30d", "whole number of at least 1"),
        ("ENCRYPTION_REQUIRED", "please", "expected true or false"),
        ("TIMEOUT", "0", "seconds, more than 0"),
        ("TIMEOUT", "nan", "seconds, more than 0"),
        ("TIMEOUT", "inf", "seconds, more than 0"),
        ("TIMEOUT", "60.1", "at most 60"),
        ("TIMEOUT", "-1", "seconds, more than 0"),
        ("TIMEOUT", "500ms", "seconds, more than 0"),
        ("ON_MISS", "fail", "expected continue or error"),
    ],
)
def test_a_bad_value_is_refused_by_name_value_and_expectation(name, value, expectation):
    message = error_of(name, value)
    assert message.startswith(f"{PREFIX}{name}={value!r}")
    assert expectation in message and "\n" not in message


@pytest.mark.parametrize(
    "value", ["cache-host:6379", "http://user:s3cret@cache", "s3cret", "redis://:s3cret/x@h:6379", "redis://h:s3cret"]
)
def test_a_bad_url_is_refused_without_showing_it(value):
    message = error_of("URL", value)
    assert message.startswith(f"{PREFIX}URL:") and "expected redis://" in message
    assert value not in message and "s3cret" not in message


@pytest.mark.parametrize(
    "name",
    [
        "ENABLED",
        "TTL",
        "URL",
        "TIMEOUT",
        "ON_MISS",
        "ENCRYPTION_KEY",
        "STORE_UNLOGGED",
        "MAX_TURNS",
        "MAX_AGE",
        "MAX_OWNER_BYTES",
    ],
)
@pytest.mark.parametrize("value", ["", "   "])
def test_an_empty_value_means_the_default(name, value):
    assert read(name, value) == Settings()


def test_every_field_has_a_variable_of_its_own():
    values = {
        "ENABLED": "yes",
        "TTL": "5",
        "MAX_AGE": "9",
        "URL": "redis://h",
        "TIMEOUT": "3",
        "ON_MISS": "error",
        "NATIVE": "true",
        "ENCRYPTION_KEY": KEY.hex(),
        "ENCRYPTION_REQUIRED": "true",
        "STORE_UNLOGGED": "true",
        "SHAPE": "false",
        "MAX_TURN_BYTES": "6",
        "MAX_CONVERSATION_BYTES": "8",
        "MAX_TURNS": "7",
        "MAX_OWNER_BYTES": "10",
        "COMPACTION_MODEL": "m",
        "COMPACTION_PROMPT": "Sum up.",
        "BACKGROUND_MAX_JOBS": "11",
        "BACKGROUND_MAX_OWNER_JOBS": "12",
        "BACKGROUND_MAX_EVENTS": "13",
        "BACKGROUND_MAX_EVENT_BYTES": "14",
        "BACKGROUND_EVENTS_TTL": "15",
    }
    settings = read_settings({PREFIX + name: value for name, value in values.items()})
    first = (True, 5, 9, "redis://h", 3.0, "error", True, (KEY,), True, True)
    assert settings == Settings(*first, 6, 8, 7, 10, False, "m", "Sum up.", 11, 12, 13, 14, 15)
    assert len(values) == len(dataclasses.fields(Settings))


def test_encryption_can_only_be_required_with_a_key():
    assert "ENCRYPTION_KEY" in error_of("ENCRYPTION_REQUIRED", "true")
    environ = {f"{PREFIX}ENCRYPTION_REQUIRED": "true", f"{PREFIX}ENCRYPTION_KEY": KEY.hex()}
    assert read_settings(environ).encryption_required


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().enabled = False


def test_names_with_our_prefix_that_are_no_setting_are_found():
    environ = {f"{PREFIX}TTLS": "1", f"{PREFIX}TTL": "1", f"{PREFIX}A": "", "REDIS_HOST": "h"}
    assert unknown_settings(environ) == (f"{PREFIX}A", f"{PREFIX}TTLS")


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(KEY).decode(),
        base64.b64encode(KEY).decode().rstrip("="),
        base64.urlsafe_b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode().rstrip("="),
        KEY.hex(),
        KEY.hex().upper(),
    ],
    ids=["base64", "base64 unpadded", "urlsafe", "urlsafe unpadded", "hex", "HEX"],
)
def test_a_key_is_read_in_every_usual_notation(text):
    assert read("ENCRYPTION_KEY", text).encryption_keys == (KEY,)


def test_several_keys_keep_their_order():
    text = f"{KEY.hex()} , {base64.b64encode(OTHER_KEY).decode()}"
    assert read("ENCRYPTION_KEY", text).encryption_keys == (KEY, OTHER_KEY)


@pytest.mark.parametrize(
    "secret",
    [
        base64.b64encode(KEY[:16]).decode(),
        base64.b64encode(KEY + b"x").decode(),
        KEY.hex()[:-2],
        KEY.hex() + "00",
        "correct horse battery staple",
        "ключ-ключ-ключ",
        "!" * 44,
    ],
)
def test_an_unusable_key_is_refused_by_position_and_never_shown(secret):
    message = error_of("ENCRYPTION_KEY", f"{KEY.hex()},{secret}")
    assert message.startswith(f"{PREFIX}ENCRYPTION_KEY: key 2 is not usable") and "32 bytes" in message
    assert secret not in message and secret[:8] not in message and KEY.hex() not in message


def test_a_comma_too_many_is_refused():
    assert "key 2" in error_of("ENCRYPTION_KEY", f"{KEY.hex()},")


def test_switched_off_no_other_setting_is_in_the_way():
    assert read_settings({"REDIS_SESSION_PATCH_ENABLED": "false", "REDIS_SESSION_PATCH_TTL": "a day"}) == Settings(
        enabled=False
    )
