"""Replies of bridged models in OpenAI's shape, as they leave."""

import json
from typing import Any

from ..redis import runtime as runtimes
from ..request.call import Call
from ..request.exchange import Exchange
from ..values.shape import shaped_event, shaped_response
from ..values.turns import from_json

# Of an event, the bytes in which its type stands.
_HEAD = 80
# What the pieces of a text lack is put in front of what they have: there are too many of them to be read.
_PIECES = {
    b'response.output_text.delta"': b'"logprobs":[],',
    b'response.reasoning_summary_text.delta"': b'"summary_index":0,',
}


def is_shaped(exchange: Exchange) -> bool:
    """Whether the reply is a bridged model's, and the operator wants it in shape."""
    runtime = runtimes.current()
    call = exchange.answered or (exchange.calls[-1] if exchange.calls else None)
    return runtime is not None and runtime.settings.shape and isinstance(call, Call)


def with_shape(exchange: Exchange, response: dict[str, Any]) -> dict[str, Any]:
    return shaped_response(response, exchange.said_again)


class ShapedEvents:
    """Of one stream."""

    def __init__(self, exchange: Exchange):
        self.exchange, self._number = exchange, 0

    def chunk(self, chunk: Any) -> Any:
        """``chunk``: server-sent events, or the JSON of one."""
        data = chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else bytes(chunk)
        shaped = self._piece(data) if b'.delta"' in data[:_HEAD] and b"\ndata:" not in data else self._events(data)
        if shaped == data:
            return chunk
        return shaped.decode("utf-8", "surrogatepass") if isinstance(chunk, str) else shaped

    def _piece(self, data: bytes) -> bytes:
        head = data[:_HEAD]
        more = b"".join(
            text for kind, text in _PIECES.items() if kind in head and text.partition(b":")[0] + b":" not in data
        )
        if b'"sequence_number":' not in data:
            more += b'"sequence_number":%d,' % self._number
        elif not any(b'"sequence_number":%d%c' % (self._number, end) in data for end in b",}"):
            return self._events(data)
        self._number += 1
        return data.replace(b"{", b"{" + more, 1) if more else data

    def _events(self, data: bytes) -> bytes:
        lines = data.split(b"\n")
        for number, line in enumerate(lines):
            event = from_json(line.removeprefix(b"data:"))
            if not (isinstance(event, dict) and "type" in event):
                continue
            shaped = shaped_event(event, self.exchange.said_again)
            shaped["sequence_number"] = self._number  # Up to 1.8x some of LiteLLM's are all 1.
            self._number += 1
            if shaped != event:
                text = json.dumps(shaped, separators=(",", ":"))
                lines[number] = (b"data: " if line.startswith(b"data:") else b"") + text.encode()
        return b"\n".join(lines)
