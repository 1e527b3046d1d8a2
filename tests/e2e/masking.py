"""A hook that takes a word out of what a model said, as guardrails do; the proxy loads it from beside its settings.

It leaves everything else alone.
"""

from litellm.integrations.custom_logger import CustomLogger

SECRET = "hunter2"


def masked(text: str) -> str:
    return text.replace(SECRET, "*******")


def mask(response: object) -> None:
    for item in getattr(response, "output", None) or ():
        for part in getattr(item, "content", None) or ():
            if getattr(part, "text", None):
                part.text = masked(part.text)


class Masking(CustomLogger):
    async def async_post_call_success_hook(self, data, user_api_key_dict, response):
        mask(response)
        return response

    async def async_post_call_streaming_iterator_hook(self, user_api_key_dict, response, request_data):
        async for event in response:
            mask(getattr(event, "response", None))
            yield event


masking = Masking()
