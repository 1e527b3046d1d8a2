"""The normal form: the same conversation in four wire formats, and what must not look the same."""

from lab.conversations import generated_trajectory
from lab.formats import anthropic, chat, gemini, responses
from lab.wire import asked_of, conversation_from_chat, tidy

IMAGE = "data:image/png;base64,AAAA"
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Look"},
            {"type": "image_url", "image_url": {"url": IMAGE}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "f", "arguments": '{"b":1,"a":2}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "fine"},
    {"role": "user", "content": "and now?"},
]
ANTHROPIC = {
    "system": [{"type": "text", "text": "Be brief."}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 2, "b": 1}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "fine"},
                {"type": "text", "text": "and now?"},
            ],
        },
    ],
}
GEMINI = {
    "system_instruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "Look"},
                {"inline_data": {"mime_type": "image/png", "data": "AAAA"}},
            ],
        },
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"b": 1, "a": 2}}}]},
        {
            "role": "user",
            "parts": [
                {"function_response": {"name": "f", "response": {"content": "fine"}}},
                {"text": "and now?"},
            ],
        },
    ],
}


RESPONSES = {
    "instructions": "Be brief.",
    "input": [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": IMAGE}],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 2, "b": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "fine"},
        {"role": "user", "content": "and now?"},
    ],
}


def test_four_formats_have_one_normal_form():
    assert tidy(chat.parse({"messages": MESSAGES})) == conversation_from_chat(MESSAGES, "chat")
    assert tidy(anthropic.parse(ANTHROPIC)) == conversation_from_chat(MESSAGES, "anthropic")
    assert tidy(responses.parse(RESPONSES)) == conversation_from_chat(MESSAGES, "responses")
    assert tidy(gemini.parse(GEMINI), ids=False) == conversation_from_chat(MESSAGES, "gemini")


def test_what_is_asked_is_all_since_the_last_answer():
    assert asked_of(conversation_from_chat(MESSAGES)) == "fine\nand now?"


def test_a_doubled_a_missing_and_a_moved_message_are_seen():
    messages = list(generated_trajectory(1).messages)
    whole = conversation_from_chat(messages)
    for index in range(len(messages)):
        doubled = [*messages[: index + 1], *messages[index:]]
        missing = [*messages[:index], *messages[index + 1 :]]
        assert conversation_from_chat(doubled) != whole
        assert conversation_from_chat(missing) != whole
    assert conversation_from_chat([*messages[:1], *reversed(messages[1:])]) != whole


def test_one_changed_character_is_seen():
    changed = [*MESSAGES[:-1], {"role": "user", "content": "and now? "}]
    assert conversation_from_chat(changed) != conversation_from_chat(MESSAGES)
