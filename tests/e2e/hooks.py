"""A guardrail that refuses, and that calls the bridge itself; the proxy loads them from beside its settings.

What they do is asked for by words in what is said. They leave everything else alone.
"""

import asyncio
import json
import re

from fastapi import HTTPException
from litellm.integrations.custom_guardrail import CustomGuardrail

import litellm

REFUSE_THE_REPLY = "refuse-the-reply"
REFUSE_WHILE_ANSWERED = "refuse-while-answered"
CALL_THE_BRIDGE = re.compile(r"call-the-bridge (\{[^}]*\})")


def refuse(what: object) -> None:
    if REFUSE_THE_REPLY in str(what):
        raise HTTPException(status_code=400, detail={"error": "refused by a guardrail"})


class Hooks(CustomGuardrail):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        asked = CALL_THE_BRIDGE.search(json.dumps(data.get("input") or data.get("messages")).replace('\\"', '"'))
        if asked:
            await litellm.aresponses(**json.loads(asked.group(1)))
        return data

    async def async_moderation_hook(self, data, user_api_key_dict, call_type):
        if REFUSE_WHILE_ANSWERED in json.dumps(data.get("input"), default=str):
            await asyncio.sleep(0.5)  # as long as a guardrail's own model takes
            raise HTTPException(status_code=400, detail={"error": "refused by a guardrail"})

    async def async_post_call_success_hook(self, data, user_api_key_dict, response):
        refuse(getattr(response, "output", None))
        return response

    async def async_post_call_streaming_iterator_hook(self, user_api_key_dict, response, request_data):
        async for event in response:
            if getattr(event, "response", None) is not None:
                refuse(getattr(event.response, "output", None))
            yield event


hooks = Hooks(guardrail_name="hooks", event_hook=["pre_call", "during_call", "post_call"], default_on=True)
