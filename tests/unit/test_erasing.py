"""What a request for an erasure means. Over HTTP: tests/e2e/test_erasing.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.erasing import asked_for


def asked(body: Any) -> tuple[dict[str, str], bool]:
    return asked_for("application/json; charset=utf-8", body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize("how, dry_run", [({}, False), ({"dry_run": False}, False), ({"dry_run": True}, True)])
@pytest.mark.parametrize("part", ["user", "team", "key_hash", "end_user", "organization", "response"])
def test_what_is_asked_for_is_understood(how, dry_run, part):
    assert asked({part: " A name ", **how}) == ({part: " A name "}, dry_run)


@pytest.mark.parametrize("dry_run", ["true", "false", "", "yes", 1, 0, 1.0, None, {}, [], [True]], ids=repr)
def test_a_dry_run_that_is_no_boolean_is_refused_by_name(dry_run):
    with pytest.raises(ValueError, match=r"^dry_run: .*dry_run, true or false"):
        asked({"user": "u", "dry_run": dry_run})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "Expected one of user"),
        ({"dry_run": True}, "Expected one of user"),
        ({"user": "u", "team": "t"}, "Expected one of user"),
        ({"user": "u", "Dry_Run": True}, "Dry_Run: "),
        ({"user": "u", "dryrun": True}, "dryrun: "),
        *(({"user": value}, "user: ") for value in ["", "  \t\n", None, 7, True, ["u"], {"id": "u"}]),
        (b'{"user": "u", "dry_run": true, "dry_run": false}', "dry_run: "),
        (b'{"user": "u", "user": "v"}', "user: "),
        *((body, "The body is no JSON object") for body in [[], [["user", "u"]], "user", 7, None, True]),
        *((body, "The body is no JSON object") for body in [b"", b"user=u", b"{", b"\xff", b"[" * 100_000]),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_request_that_means_nothing_or_two_things_is_refused(body, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        asked(body)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_that_is_not_called_json_is_refused(content_type):
    with pytest.raises(ValueError, match="application/json"):
        asked_for(content_type, b'{"user": "u", "dry_run": true}')
