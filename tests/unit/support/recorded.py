"""Values as format 3 writes them, recorded once, never made again: readers of later versions must understand them."""

from __future__ import annotations

import base64
import time
from typing import Any, NamedTuple

from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import Place
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Turn

KEY = bytes(range(32))
OWNER = Owner("K9gGyX8OAK8", "sfUaUR8doM0", "x6UDsJ6ORbE")
HEAD = "litellm_patch:session:{c0nversat-_}:"
PLACES = tuple(Place("c0nversat-_", turn) for turn in ("101", "102", "103"))
STARTED = 1_700_000_000
FIELDS = {
    "about": b"user:K9gGyX8OAK8.sfUaUR8doM0 1700000000",
    "by": b" K9gGyX8OAK8.sfUaUR8doM0.x6UDsJ6ORbE..",
}


class Recorded(NamedTuple):
    """Base64 of a conversation's turns, by turn."""

    turns: dict[str, str]

    def put_into(self, client: Any) -> None:
        """``client``: redis-py's, for threads."""
        fields = {turn: base64.b64decode(text) for turn, text in self.turns.items()}
        client.hset(f"{HEAD}turns", mapping={**FIELDS, **fields})
        client.zadd(f"{HEAD}tree", {"101": 0, "102": 101, "103": 102})
        client.zadd(f"{HEAD}lives", dict.fromkeys(self.turns, time.time() + 1_000))


LONG = "Hi \U0001f600 " + "again and " * 30 + "again."
RULES = "Be kind \U0001f600. " * 20
TOOLS = [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}]
CALL = {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}}
# What LiteLLM's replies for bridged models say, of which nothing is written.
MOSTLY: dict[str, Any] = {
    "object": "response",
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": False,
    "reasoning": None,
    "store": None,
    "temperature": None,
    "text": {},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": None,
    "user": None,
}

TURNS = (
    Turn(
        "Привет \x00 \ud83d",
        ({"role": "assistant", "content": LONG},),
        RULES,
        "claude",
        "trace",
        {
            **MOSTLY,
            "instructions": RULES,
            "tools": TOOLS,
            "store": True,
            "created_at": 1,
            "output": [{"type": "message", "content": [{"type": "output_text", "text": LONG}]}],
        },
        (OWNER.tag,),
    ),
    Turn(
        [
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "again and again and again and again. " * 2}],
            },
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
        ],
        ({"role": "assistant", "content": None, "tool_calls": [CALL]},),
        RULES,
        "claude",
        "trace",
        {
            "object": "response",
            "status": "incomplete",
            "output": [{"type": "function_call", "call_id": "c2", "name": "f", "arguments": "\u2028 \ud83d"}],
            "temperature": 1.0,
        },
        (OWNER.tag,),
    ),
    Turn([{"type": "function_call_output", "call_id": "c2", "output": {"odd": [1.5, None]}}]),
)

# Made by storing TURNS one after the other at PLACES with ``store_on(client, encryption_keys=…)``, without and with
# KEY: each turn's field of the hash ``turns``, in base64.
PLAIN = Recorded(
    {
        "101": (
            "MSAzNjIgMTEwNyAxMzMzMjYyMjQ1ClDsVEFKw1AQ3XuKMOsQKkKp3SmKYpFCoSDEUKbJtMS2/4f/J9pSAsVTuKtnEAQ33iE9"
            "iOARnB9bWrvyAE0WmXkzmZm8zPtzeITmiQ+pynKGJpTL1aL8KN/K99Wzd5/X5PK+Xj/BB1T2iQw0wzkYPSbJRWtTy6hYorFW"
            "TMpVuE697+XLwsMhpspDlRys/1kBFJEPExw5liEeY56QMGtJaNZKIDYYOyRVlk0es6BW4HPyRqkUcawH3sHbeMJUfyb7Cq3T"
            "4dXsrtE+azUCO+hit9NI9G0tmNa7F/am3u70L4MAouJINptsJqzKds/3aXa/grWRkKDkA2s9tpUceJY5OQxyVSVLosJJhYiZ"
            "oRGHyVhXc52q+w8UO9lkRmdkOCUXLQq3ALEhZEp6KGI69kHnXClz22ciC4FD2hXdNvib3mOauvLVQ0YvIrll/mqsMAz/flvk"
            "7wOChJvOfm3byNlVTffK+kDYjUeRsPgD"
        ),
        "102": (
            "MiA2MTIgMTg0MCAyMzg1OTM4MTYxClCclU0KgzAQha9Ssi6lSu8TggYbGhOJEQoi9Dg9V0/SmUlSjbqQrvxhGOe9fG8c85Uy"
            "74uhx/K9qal0NfSRxByK1QnlnzfHxCuhNU8iGT2pGpNXsNl2displge3nxm0DmhQ+8BH6FqitA0pv1uAY0GNcM3QQkcEb5zY"
            "hAf4x24IpGIK8G4NOEzvh57sr2zbaaCU7QGXOZZbVeawL8f+vN7058DBvWwBc/gaxqe4XIHFxhpkMXp1t4rGx7RoLTVfWAi6"
            "pRe18IKl1EVIzkw6Zx3JTgp4DcWKajIv0L0nT/GwD0nvIGu9Nco01LrjHV4d6BXxfCKzIfkA9xc="
        ),
        "103": ("MyA2NDUgMTk0NiAzODUzOTAwNTYyClDCTNxEJysjpMCtVspPAQpGG+qZ6oDSTGwtSiIDWsQFAA=="),
    }
)

SEALED = Recorded(
    {
        "101": (
            "MSAzOTQgMTEwNyAxMzMzMjYyMjQ1CkVjDc0phxOKB5TZjgqeDB9gthC/ydklaH1YJJnYA8B+L6+28PMIndouQMChumJ8vetL"
            "BRaJcwvGaFSgngNkpsWh4qeKAu8oRUO3hmzwZj+KbNOscS6nbqxPVom4+5WD2pBr6q2A+wUlwQuy1vcVCbK2LX+wRY77u/Ci"
            "rtuQiViZgn8vVLqjBhR+XopmTfEFzva3rZcaUI5Js5lWXaso2scwG9IpsP7iGEU0qt8BI//yFZFDqdtWlnUhCaC4LOXvD6CG"
            "pLEPmO1GNqyhv17kwv7EScgjT0rz3p+0vLVK20KeKJbYlI68fNY+3IeuVNnY+ldokYYEPb4rwH8DDma/Q6EPhajMAXFzPMlt"
            "n9kh+c6rpuIRtV/BxbiXC0bsw2/E7Lvrb6pSgoEOljN5zujYVdkFx3gwQhTBr4PAZ5WgE6vMe6cgGspXZ31uSW+Hb+fTEBhF"
            "FV1/yFV5bQRsdGxfoAPX9BYOFr6YE6KMK++/WBTd1WSq6w70RbMlvjTg7Gc3bzqC3sMro/VDW/s="
        ),
        "102": (
            "MiA2NzYgMTg0MCAyMzg1OTM4MTYxCkVjDc0puQQqFI+vSLJhqjM9hGXCvkiUUCSqD920xf27LyhXgHFjMaQupvgjh/i8RMG8"
            "+qM7RXBsZoOcZrgoimFDiMoYQ2VJC+DPcW46o7VCCXdrF/R5yR5E/DgitIi5zqTK5HxMgKu+Nnkja1E1Ukgd2dmfQeNRgWiR"
            "WLtv0kCK8t0QAiLmnxa48BiRlEU2zkF5nm+4483AlCxXYa/5hEjS1PEbCQotfIDiMD0K+4U7Pu5FWNncvyUmXxFmX2iyYeV1"
            "HZG/sIzeJ6r2CZMjGCOST/Ni1r31Ge1RW2UCO5whEV2TngHMI6LeXog7iZIJg5L67Ut5dh7An40vXs52xapHk64dpauMQJDE"
            "jkfZrZEbKeeSs0AqdBGWJw=="
        ),
        "103": (
            "MyA3NDEgMTk0NiAzODUzOTAwNTYyCkVjDc0pvqF1iE0bjSLaLSZ1w+FAzbSY8dFI2Uuki/K/igfXdx0tBKjhdgDdq730uTue"
            "pbK6+yBhywMmW5OQxass"
        ),
    }
)
