"""A stand-in model provider: real wire formats, scripted answers, and every request kept.

As a thread inside a test process: `with Provider() as provider: provider.script(Answer(text="…"),
when="marker")`. As a process: `python -m lab.provider --port 9000`, steered through
`/_control/…` by `provider_client.ProviderClient`, which has the same methods.

Requests are told apart by a *tag*: the whole number a test sends as `max_output_tokens`. Every
format carries it, no message text is touched, so a thousand conversations at once stay exact. Or by
a regular expression over what is asked.

What the real provider would refuse, it refuses (`lab.refusing`), with that provider's error and before any answer is
used up; `provider.allow("deepseek-contentless")` turns a rule off for a while. Chat requests are DeepSeek's unless
their path begins with the name of another provider, as in `/groq/chat/completions`.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import threading
from collections.abc import AsyncIterator

from .answers import Answer, answer_from_dict
from .formats import FORMATS, responses
from .http_server import CutConnection, Handler, Request, Response, reply_json, start_server
from .native import DOWN, answer_stored_request, is_stored_path
from .recording import ProviderState, Recorded
from .refusing import Fault, Maker, maker_of
from .wire import tidy


def format_of(path: str) -> tuple[str, bool] | None:
    """The wire format a path stands for, and whether the path itself asks for a stream."""
    if path.endswith("/chat/completions"):
        return "chat", False
    if path.endswith("/responses"):
        return "responses", False
    if path.endswith("/messages"):
        return "anthropic", False
    if path.endswith(":generateContent"):
        return "gemini", False
    if path.endswith(":streamGenerateContent"):
        return "gemini", True
    return None


async def pieces_of(state: ProviderState, recorded: Recorded, answer: Answer) -> AsyncIterator[bytes]:
    pieces = list(FORMATS[recorded.format].stream(recorded.body, answer))
    for index, piece in enumerate(pieces):
        if answer.cut_after is not None and index >= answer.cut_after:
            await state.pass_gate(answer.cut_gate)
            raise CutConnection
        if answer.end_after is not None and index >= answer.end_after:
            return
        if answer.fail_after is not None and index >= answer.fail_after:
            yield responses.failure(recorded.body, answer, index)
            return
        if index == len(pieces) - 1:
            state.hold(recorded, answer)  # before its client can know
        yield piece


def json_object_of(request: Request) -> dict | None:
    try:
        body = request.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def failure(maker: Maker, fault: Fault) -> Response:
    return reply_json(maker.error_body(fault), fault.status)


async def answer_model_request(state: ProviderState, request: Request, format: str, stream: bool) -> Response:
    maker, body = maker_of(request.path, format), json_object_of(request)
    if body is None:
        return failure(maker, Fault("the body is no JSON object"))
    recorded, refusal = state.record(request.path, request.headers, body, format, stream)
    if refusal:
        return failure(maker, refusal.fault)
    answer = state.choose(recorded)
    if format != "responses" or not body.get("background"):
        await state.wait_for(answer)
    if answer.status != 200:
        return failure(maker, Fault(answer.error, status=answer.status))
    if recorded.stream:
        return Response(content_type="text/event-stream", stream=pieces_of(state, recorded, answer))
    if answer.cut_after is not None:
        raise CutConnection
    held = state.hold(recorded, answer)
    return reply_json(held or {**FORMATS[format].render(recorded.body, answer), **maker.in_answers})


def answer_count_request(request: Request) -> Response:
    """A number that grows with the conversation, under the names that Anthropic and Gemini have for it."""
    body = request.json()
    format = "gemini" if "contents" in body or "generateContentRequest" in body else "anthropic"
    count = len(repr(tidy(FORMATS[format].parse(body.get("generateContentRequest", body)))))
    return reply_json({"input_tokens": count, "totalTokens": count})


def answer_control_request(state: ProviderState, request: Request) -> Response:
    verb = request.path.removeprefix("/_control/")
    fields = request.json()
    address = {name: fields.get(name) for name in ("when", "tag")}
    if verb == "script":
        state.script(*(answer_from_dict(each) for each in fields["answers"]), **address)
    elif verb == "always":
        state.always(answer_from_dict(fields["answer"]), **address)
    elif verb == "requests":
        return reply_json([each.to_dict() for each in state.requests(**address, since=fields.get("since", 0))])
    elif verb == "clear":
        state.clear()
    elif verb == "release":
        state.release(fields["gate"])
    elif verb == "turn_off":
        state.turn_off(*fields["slugs"])
    elif verb == "turn_on":
        state.turn_on(*fields["slugs"])
    elif verb == "take_down":
        state.take_down(fields["account"])
    elif verb == "bring_up":
        state.bring_up(fields["account"])
    elif verb == "turned_away":
        return reply_json(state.turned_away(fields["account"]))
    elif verb == "stored_requests":
        return reply_json(state.stored_requests())
    elif verb == "forget":
        state.forget(fields["account"])
    elif verb != "health":
        return reply_json({"error": f"no control verb {verb!r}"}, 404)
    return reply_json({"ok": True})


def handler_for(state: ProviderState) -> Handler:
    async def handle(request: Request) -> Response:
        if request.path.startswith("/_control/"):
            return answer_control_request(state, request)
        if state.accounts.turns_away(request.path):
            format, _ = format_of(request.path) or ("responses", False)
            return failure(maker_of(request.path, format), DOWN)
        if is_stored_path(request.path):
            state.note_stored_request(request.method, request.path)
            return answer_stored_request(state.accounts, request)
        if request.path.endswith(("/messages/count_tokens", ":countTokens")):
            return answer_count_request(request)
        if (known := format_of(request.path)) is None:
            return reply_json({"error": f"the stand-in does not serve {request.path}"}, 404)
        return await answer_model_request(state, request, *known)

    return handle


class Provider(ProviderState):
    """The stand-in on a thread of this process. `url` is its address once started."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__()
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in-provider", daemon=True)

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}"

    def start(self) -> Provider:
        """Raises OSError when the port is taken."""
        self._thread.start()
        starting = start_server(handler_for(self), self._host, self._port)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(timeout=10)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _shut_down(self) -> None:
        self._server.close()
        connections = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def __enter__(self) -> Provider:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


async def serve_until_signal(host: str, port: int) -> None:
    server = await start_server(handler_for(ProviderState()), host, port)
    print(f"stand-in provider on http://{host}:{server.sockets[0].getsockname()[1]}", flush=True)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m lab.provider", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    asyncio.run(serve_until_signal(arguments.host, arguments.port))
