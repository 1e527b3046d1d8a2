"""Values as format 2 writes them, recorded once and never made again: readers of later versions must understand them."""

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
        None,
        "claude",
    ),
)

PLAIN = Recorded(
    {
        "chatcmpl-1": (
            "eyJ2IjoyLCJjb252ZXJzYXRpb24iOiJjMG52ZXJzYXQxMG4iLCJ0dXJuIjoiMTAxIiwidHVybnMiOjEsImJ5dGVzIjoxNTIs"
            "InN0YXJ0ZWQiOjE3MDAwMDAwMDAsIm93bmVyIjpbIks5Z0d5WDhPQUs4Iiwic2ZVYVVSOGRvTTAiLCJhcm54NjQ5OU00ZyIs"
            "bnVsbF19ClB7InNlc3Npb24iOiJ0cmFjZSJ9"
        ),
        "chatcmpl-2": (
            "eyJ2IjoyLCJjb252ZXJzYXRpb24iOiJjMG52ZXJzYXQxMG4iLCJ0dXJuIjoiMTAyIiwidHVybnMiOjIsImJ5dGVzIjozMDYs"
            "InN0YXJ0ZWQiOjE3MDAwMDAwMDAsIm93bmVyIjpbIks5Z0d5WDhPQUs4Iiwic2ZVYVVSOGRvTTAiLCJhcm54NjQ5OU00ZyIs"
            "bnVsbF19ClB7InNlc3Npb24iOiJ0cmFjZSJ9"
        ),
    },
    {
        "101": (
            "UHoAAGiBq1YqU7Iy0lHKzCsoLVGyUrow/2LDhR0XNl3YerFJIabUAAgU3i7Yq6SjlJhXXJ5apGQVXa1UlJ+TClSbWFycWVyS"
            "mFcClE3OzytJzQOZ4JGp8GH+jAaFxPTEzDyFxLwU2rD0lGpjdZRyE7NBblJKzkksTUlVAvmjuKSoNLkkMz+vGCjulKqQnZmX"
            "AlQMAPo/VBY="
        ),
        "102": (
            "UHoA6Wi/+j9UFqtG9SjCF6XFQBOQPACUKaksAMmAlcaXpFaAPAimgH4mwmVEOV8B6P5aHbhdaaV5YEfHJyfm5MTnl5aAXAl0"
            "FYiXmQLyoSGQCxW3UjIxAnufyDjJK83JAfogPz8HbHwxWAPEVCOQ11CdABSBM62qlfISc8GyoCRQlF6aCzQRFLLVtUq1QB8Q"
            "jgOQ5bUALHqBXQ=="
        ),
    },
)

SEALED = Recorded(
    {
        "chatcmpl-1": (
            "eyJ2IjoyLCJjb252ZXJzYXRpb24iOiJjMG52ZXJzYXQxMG4iLCJ0dXJuIjoiMTAxIiwidHVybnMiOjEsImJ5dGVzIjoxODQs"
            "InN0YXJ0ZWQiOjE3MDAwMDAwMDAsIm93bmVyIjpbIks5Z0d5WDhPQUs4Iiwic2ZVYVVSOGRvTTAiLCJhcm54NjQ5OU00ZyIs"
            "bnVsbF19CkVjDc0pVjVaLvwxRLTqsLqZXsbaOhj59ytHIaF/AF5f8h2PQeCtukyPvyZ2GjLDIU8xBxw="
        ),
        "chatcmpl-2": (
            "eyJ2IjoyLCJjb252ZXJzYXRpb24iOiJjMG52ZXJzYXQxMG4iLCJ0dXJuIjoiMTAyIiwidHVybnMiOjIsImJ5dGVzIjozNzAs"
            "InN0YXJ0ZWQiOjE3MDAwMDAwMDAsIm93bmVyIjpbIks5Z0d5WDhPQUs4Iiwic2ZVYVVSOGRvTTAiLCJhcm54NjQ5OU00ZyIs"
            "bnVsbF19CkVjDc0pPb5sLl5YUe4Yfob+bcpsgz9K8jFGFot/jEiMl5qZp/1GiXUU8jihexp5b2Y6LqQ="
        ),
    },
    {
        "101": (
            "RWMNzSnmmTXg6cRRzAZvEhuglWRAa9AqNDC4Stkl9zMucRYr8DGI6s5iWDsrL/ejWQF7aW2Ev60pvn3JRoZzPf9YyOIP0+BI"
            "gDIGIqtogNHfsB/l1/6eCE6VBr77TRur2HPH732xeySzvPf4np+xvZSo6g9/qA/Dn8CIbcuTvSk92kIyrfJN7mgsT5zQ+A+M"
            "eK9J5RIxy8HNwYYChgSmuQkbxmecDei+oxfAE4qrIJvnnLFqQpw92Q=="
        ),
        "102": (
            "RWMNzSkk2bTwoemcDU+OPP6uF29GZv5lLOfaH77qOLBY7nN8DxZLLvv+58e9prXIMMAVarlaK1kVIThwGItS3BL3L1GwwDkK"
            "Z+7aSb0OpgLQTPNfwQtffoYEjwqXvAgsMnpXwC2jzqoBQdk1mAuYd8oka6w1aXFgsfrvexnyMdju0Lmiw5P1U7xSLzqo3SGU"
            "yvQtLGVr5+ZvWzZa+INadtXFqkMuHSdEw6kTaWHRLefVbeVMKlD40MJD"
        ),
    },
)

