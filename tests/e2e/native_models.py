"""A stand-in for a provider with a Responses endpoint of its own, and what it was asked."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "native-model"
NATIVE_ID = "resp_" + "5f" * 25


def entry(url: str) -> dict[str, Any]:
    """For `model_list`."""
    return {
        "model_name": MODEL,
        "litellm_params": {"model": "openai/gpt-4o", "api_base": f"{url}/v1", "api_key": "native-key"},
    }


def response(**fields: Any) -> dict[str, Any]:
    return {
        "id": NATIVE_ID,
        "object": "response",
        "created_at": 1_700_000_000,
        "model": "gpt-4o",
        "status": "completed",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
        **fields,
    }


class Handler(BaseHTTPRequestHandler):
    server: NativeServer

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        self.server.asked.append((self.command, path))
        if self.command == "DELETE":
            body: dict[str, Any] = {"id": NATIVE_ID, "object": "response", "deleted": True}
        elif path.endswith("/input_items"):
            body = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
        else:
            body = response(status="cancelled" if path.endswith("/cancel") else "completed")
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_: Any) -> None:
        pass


class NativeServer(ThreadingHTTPServer):
    """`asked`: the method and path of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str]] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> NativeServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
