"""A plain request is counted by the router once, although storing lets its success callback run early."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import litellm.constants
import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.router_usage import mark_as_counted

KEY = getattr(litellm.constants, "ROUTER_USAGE_COUNTED_TOKENS_METADATA_KEY", None)


def marks_after(call: dict[str, Any], response: Any) -> dict[str, Any]:
    mark_as_counted(call, response)
    return {name: value for name, value in call.get("litellm_metadata", {}).items() if name != "model_info"}


@pytest.mark.parametrize("usage, tokens", [(SimpleNamespace(total_tokens=7), 7), (None, 0), (SimpleNamespace(), 0)])
def test_the_routers_own_mark_is_there_before_storing(usage, tokens):
    call = {"litellm_metadata": {"model_info": {"id": "d"}}}
    # Before 1.103 there is no mark, and nothing to be counted twice.
    assert marks_after(call, SimpleNamespace(usage=usage)) == ({} if KEY is None else {KEY: tokens})


def test_a_request_without_a_deployment_is_left_alone():
    assert marks_after({"litellm_metadata": {}}, SimpleNamespace(usage=None)) == {}
    assert marks_after({}, SimpleNamespace(usage=None)) == {}
