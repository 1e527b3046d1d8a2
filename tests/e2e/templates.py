"""A prompt manager as operators write one (`CustomPromptManagement`): a system message before what the client says."""

from __future__ import annotations

from typing import Any

from litellm.integrations.custom_prompt_management import CustomPromptManagement


class Templates(CustomPromptManagement):
    @property
    def integration_name(self) -> str:
        return "templates"

    def should_run_prompt_management(self, prompt_id: str | None, *_: Any, **_more: Any) -> bool:
        return prompt_id == "greeting"

    def get_chat_completion_prompt(
        self, model: str, messages: list[Any], non_default_params: dict[str, Any], *_: Any, **_more: Any
    ) -> tuple[str, list[Any], dict[str, Any]]:
        return model, [{"role": "system", "content": "You greet."}, *messages], non_default_params

    async def async_get_chat_completion_prompt(
        self, *args: Any, **options: Any
    ) -> tuple[str, list[Any], dict[str, Any]]:
        options.pop("litellm_logging_obj", None)
        return self.get_chat_completion_prompt(*args, **options)


templates = Templates()
