"""Values as format 2 writes them, recorded once, never made again: readers of later versions must understand them."""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Turn

CONVERSATION = "litellm_patch:{c0nversat10n}:"
KEY = bytes(range(32))


class Recorded(NamedTuple):
    """Base64 of the records of two responses, by response id, and of their turns, by turn."""

    records: dict[str, str]
    turns: dict[str, str]

    async def put_into(self, client: Any) -> None:
        for response_id, text in self.records.items():
            await client.set(f"litellm_patch:session:{response_id}", base64.b64decode(text))
        for turn, text in self.turns.items():
            await client.hset(f"{CONVERSATION}turns", turn, base64.b64decode(text))
        await client.zadd(f"{CONVERSATION}tree", {"101": 0, "102": 101})


TURNS = (
    Turn(
        "Привет \x00 \ud83d",
        ({"role": "assistant", "content": "Hi \U0001f600 " + "again and " * 9 + "again."},),
        "Be kind.",
        "claude",
        "trace",
    ),
    Turn(
        [
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "again and again and again and again. " * 2}],
            },
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
        ],
        (
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
        ),
        "Be kind.",
        "claude",
        "trace",
    ),
)

PLAIN = Recorded(
    {
        "chatcmpl-1": (
            "eyJ2IjoyLCJjIjoiYzBudmVyc2F0MTBuIiwidCI6IjEwMSIsIm4iOjEsImIiOjE1NiwicyI6MjUyLCJrIjoyNzEzNjI2MzM4"
            "LCJhIjoxNzAwMDAwMDAwLCJvIjpbIks5Z0d5WDhPQUs4Iiwic2ZVYVVSOGRvTTAiXX0KUA=="
        ),
        "chatcmpl-2": (
            "eyJ2IjoyLCJjIjoiYzBudmVyc2F0MTBuIiwidCI6IjEwMiIsIm4iOjIsImIiOjMwMCwicyI6NjUzLCJrIjoxMzYxMTg4MzYy"
            "LCJhIjoxNzAwMDAwMDAwLCJvIjpbIks5Z0d5WDhPQUs4Iiwic2ZVYVVSOGRvTTAiXX0KUA=="
        ),
    },
    {
        "102": (
            "UKpG9TvCY6XFQEOR/ASUKaksAMmAlcaXpFaA/AymgMFAhGOJ8pEC0EsgV0HtSivNA7s6PjkxJyc+v7QE5Eqgq0C8zBSQpw2B"
            "XKi4lZKJEThEiIymvNKcHKAP8vNzwMYXgzVATDUCeQ3VCUARONOqWikvMRcsC0oVRemluUATQUFbXatUC/QBOdECZKbW6gAA"
        ),
        "101": (
            "ULSOQQrCQAxFrzJkPYi47NKVd1AXYTrI0JqRSUYXpVA8hbt6BkFw4x2mBxE8gukhzOrzkh9eB2eoVhYCnbJABWWchvIqj/Kc"
            "rmaXlzrmc3+DBSS++ATVtoMUW6+3yBxYkES3LpJ4mj9sgvmOt8HgAQMZpPo/aQH93sIRm9kJXIu59urBXqUiKZKEbiaBWFJ2"
            "opQVr71pAtVatz8A"
        ),
    },
)

SEALED = Recorded(
    {
        "chatcmpl-1": (
            "eyJ2IjoyLCJjIjoiYzBudmVyc2F0MTBuIiwidCI6IjEwMSIsIm4iOjEsImIiOjE4OCwicyI6MjUyLCJrIjoyNzEzNjI2MzM4"
            "LCJhIjoxNzAwMDAwMDAwLCJvIjpbIks5Z0d5WDhPQUs4Iiwic2ZVYVVSOGRvTTAiXX0KRWMNzSlZskXmubw6gvKKwSVVJ7z3"
            "zN5j8M+1SqTS5Roj"
        ),
        "chatcmpl-2": (
            "eyJ2IjoyLCJjIjoiYzBudmVyc2F0MTBuIiwidCI6IjEwMiIsIm4iOjIsImIiOjM2NCwicyI6NjUzLCJrIjoxMzYxMTg4MzYy"
            "LCJhIjoxNzAwMDAwMDAwLCJvIjpbIks5Z0d5WDhPQUs4Iiwic2ZVYVVSOGRvTTAiXX0KRWMNzSmRogSnJ/nRiulBbvFPZeeH"
            "oMtC+vFG+b5pZ+Gn"
        ),
    },
    {
        "102": (
            "RWMNzSm2h7CUZWZockkzOP9NkEK2u3tkq2GbapgcVj+BpL13cIv6t+TS8ZHz6PonBEbHhg0m5zgDljfiMzf8KCL+MoUiJ1Yw"
            "SLRTVNXri9P8HfIPuFPYtzY3ajqv9w0fu/rjjTbVODV7u+rElhFLx1Q7gwkLTKp89w0P+E1vbCm23CyEBJwUtBOF839z6Xdy"
            "74DxrimBBdWQH6V+3ch+dMd1v+OGFxaAaramTwoh8QY="
        ),
        "101": (
            "RWMNzSkTesPfODscIg+lwRiD41zd9J7298tCTQsjruFuyttMLyJzIwwdG23AbZrrClV6EHz5Ebl7RQLMyQh/8VZrlgugune+"
            "IIoCt+tNsTa081G/AnQOCdNOHwP1gvpYe5F6J0DG6rFyeT2OT+eja647IYFHYDFJmcDImbRLrgYp2h3h3ueGkf6mZOaTiWry"
            "zkHnhImEeyK/xObHOXY/Z7PzBGY+nHXlorK3qBJ2tqw5NAW3iZJtodGoOYM="
        ),
    },
)
