"""One release's cells of `bench.conformance`; runs in that release's environment, data as JSON on standard output.

A rule is a function of a `Play`, which asserts; where it cannot even be asked (a 500, a missing field), it is not kept
either.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lab.answers import Answer, ToolCall
from lab.asking import Asker, asking_on_socket
from lab.client import ResponsesClient
from lab.exchange import texts_of
from lab.lines import Manner
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxy import MODELS, Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.schema import faults_in
from lab.trees import installed_release, tree

REFERENCE = "API reference"
GUIDE = "guide: conversation state"
SCHEMA = "OpenResponses schema"
SOCKET = "guide: WebSocket mode"
COMPACTION = "guide: compaction"
BACKGROUND = "guide: background mode"

TOOL = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}
SUMMARY = Answer("They said one.")
# Of a request that a proxy does not take for one in the background, and waits for.
LONGEST_SECONDS = 8
LONG = [{"role": "user", "content": "word " * 3_000}, {"role": "assistant", "content": "Long."}]


@dataclass
class Play:
    proxy: Proxy
    provider: Provider
    client: ResponsesClient
    model: str

    def asker(self, stream: bool = False) -> Asker:
        return Asker(self.client, self.provider, Manner(self.model, stream))

    def call(self, method: str, path: str, status: int = 200, **body: Any) -> Any:
        """The body of a reply with that status."""
        headers = {"authorization": f"Bearer {self.proxy.key}"}
        reply = self.client.http.request(method, f"/v1/{path}", headers=headers, json=body or None)
        assert reply.status_code == status, reply.text
        return reply.json()

    def create(self, said: Any, status: int = 200, **params: Any) -> Any:
        return self.call("POST", "responses", status, model=self.model, input=said, **params)

    def sent(self) -> list[str]:
        """The texts of what the provider was sent last."""
        return texts_of(self.provider.requests()[-1].conversation)


RULES: dict[str, tuple[str, Callable[[Play], None]]] = {}


def rule(text: str, source: str) -> Callable[[Callable[[Play], None]], Callable[[Play], None]]:
    def enter(check: Callable[[Play], None]) -> Callable[[Play], None]:
        RULES[text] = source, check
        return check

    return enter


@rule("A reply has every field of the schema", SCHEMA)
def has_every_field(play: Play) -> None:
    assert faults_in(play.asker().ask("one", tools=[TOOL], temperature=0.5).reply) == []


@rule("So has a reply that calls a tool", SCHEMA)
def calls_a_tool(play: Play) -> None:
    assert faults_in(play.asker().ask("one", answer=Answer("", (ToolCall("look_up"),)), tools=[TOOL]).reply) == []


@rule("Each event of a stream has its fields and its number", SCHEMA)
def streams(play: Play) -> None:
    assert faults_in(play.asker(stream=True).ask("one").reply) == []


@rule("So have those of a stream that calls a tool", SCHEMA)
def streams_a_call(play: Play) -> None:
    answer = Answer("", (ToolCall("look_up", '{"a": 1}'),))
    assert faults_in(play.asker(stream=True).ask("one", answer=answer, tools=[TOOL]).reply) == []


@rule("A stream has one id in all its events", REFERENCE)
def has_one_id(play: Play) -> None:
    assert len(set(play.asker(stream=True).ask("one").reply.ids.values())) == 1


@rule("A follow-up sent immediately knows the turn before", GUIDE)
def remembers(play: Play) -> None:
    first = play.asker().ask("one")
    assert texts_of(play.asker().ask("two", first).requests[-1].conversation) == ["one", first.reply.text, "two"]


@rule("So does one behind a stream", GUIDE)
def remembers_a_stream(play: Play) -> None:
    first = play.asker(stream=True).ask("one")
    sent = texts_of(play.asker(stream=True).ask("two", first).requests[-1].conversation)
    assert sent == ["one", first.reply.text, "two"]


@rule("Two follow-ups of one response do not see each other", GUIDE)
def branches(play: Play) -> None:
    first = play.asker().ask("one")
    play.asker().ask("left", first)
    assert texts_of(play.asker().ask("right", first).requests[-1].conversation) == ["one", first.reply.text, "right"]


@rule("The reply names its `previous_response_id`", REFERENCE)
def names_the_previous(play: Play) -> None:
    first = play.create("one")["id"]
    assert play.create("two", previous_response_id=first)["previous_response_id"] == first


@rule("What has `store: false` cannot be followed or fetched, and says so", REFERENCE)
def is_not_stored(play: Play) -> None:
    first = play.create("SECRET", store=False)
    assert first["store"] is False
    play.call("GET", f"responses/{first['id']}", 404)
    play.client.responses(play.model, "two", previous_response_id=first["id"])
    assert "SECRET" not in play.sent()


@rule("`GET /responses/{id}` gives what the client got", REFERENCE)
def is_fetched(play: Play) -> None:
    first = play.create("one", metadata={"a": "b"})
    found = play.call("GET", f"responses/{first['id']}")
    assert (found["id"], found["output"], found["metadata"]) == (first["id"], first["output"], {"a": "b"})


@rule("`DELETE` takes it out", REFERENCE)
def is_deleted(play: Play) -> None:
    first = play.create("one")["id"]
    assert play.call("DELETE", f"responses/{first}")["deleted"] is True
    play.call("GET", f"responses/{first}", 404)


@rule("`input_items` lists what was said, newest first", REFERENCE)
def lists_its_input(play: Play) -> None:
    second = play.create("two", previous_response_id=play.create("one")["id"])["id"]
    listed = play.call("GET", f"responses/{second}/input_items")["data"]
    assert [item["content"][0]["text"] for item in listed][:1] == ["two"] and all(item["id"] for item in listed)


@rule("`item_reference` brings an item of a stored response", REFERENCE)
def is_referred_to(play: Play) -> None:
    first = play.create("one")
    said = [{"role": "user", "content": "one"}, {"type": "item_reference", "id": first["output"][0]["id"]}]
    play.create([*said, {"role": "user", "content": "two"}])
    assert play.sent() == ["one", first["output"][0]["content"][0]["text"], "two"]


@rule("An unknown item is refused", REFERENCE)
def knows_no_such_item(play: Play) -> None:
    play.create([{"type": "item_reference", "id": "msg_0"}, {"role": "user", "content": "two"}], 404)


@rule("A conversation object collects its turns", REFERENCE)
def collects(play: Play) -> None:
    conversation = play.call("POST", "conversations", items=[{"role": "user", "content": "one"}])["id"]
    first = play.create("two", conversation=conversation)
    assert first["conversation"]["id"] == conversation and play.sent() == ["one", "two"]
    kinds = [item["role"] for item in play.call("GET", f"conversations/{conversation}/items")["data"]]
    assert kinds == ["assistant", "user", "user"]


@rule("`background: true` answers with a queued response, which is polled", BACKGROUND)
def runs_in_the_background(play: Play) -> None:
    play.provider.script(Answer("Done."))
    first = play.create("one", background=True)
    assert first["status"] in ("queued", "in_progress")

    def is_done() -> bool:
        return play.call("GET", f"responses/{first['id']}")["status"] == "completed"

    wait_until(is_done, 10, "a response in the background", 0.1)
    play.create("two", previous_response_id=first["id"])
    assert play.sent() == ["one", "Done.", "two"]


@rule("It is cancelled", BACKGROUND)
def is_cancelled(play: Play) -> None:
    play.provider.script(Answer("Late.", gate="never"))
    try:
        first = play.create("one", background=True)["id"]
        assert play.call("POST", f"responses/{first}/cancel")["status"] == "cancelled"
    finally:
        play.provider.release("never")


@rule("`POST /responses/compact` gives one compaction, from which a model goes on", COMPACTION)
def compacts(play: Play) -> None:
    play.provider.script(SUMMARY)
    output = play.call("POST", "responses/compact", model=play.model, input=LONG)["output"]
    assert [item["type"] for item in output].count("compaction") == 1
    play.create([*output, {"role": "user", "content": "two"}])
    assert SUMMARY.text in str(play.sent())


@rule("`context_management` compacts what is too long", COMPACTION)
def compacts_by_itself(play: Play) -> None:
    play.provider.script(Answer("Long.", compaction="Short."), Answer("And?"))
    wish = [{"type": "compaction", "compact_threshold": 1_000}]
    reply = play.create([*LONG, {"role": "user", "content": "two"}], context_management=wish)
    assert reply["output"][0]["type"] == "compaction"


@rule("Over a WebSocket a follow-up knows the turn before, on another connection too", SOCKET)
def remembers_on_a_socket(play: Play) -> None:
    with asking_on_socket(play.proxy, play.provider, play.model) as socket:
        first = socket.ask("one")
    with asking_on_socket(play.proxy, play.provider, play.model) as socket:
        assert texts_of(socket.ask("two", first).requests[-1].conversation) == ["one", first.reply.text, "two"]


@rule("What a client warms up with (`generate: false`) reaches the model", SOCKET)
def warms_up(play: Play) -> None:
    rules = [{"type": "message", "role": "developer", "content": "Answer in verse."}]
    with asking_on_socket(play.proxy, play.provider, play.model) as socket:
        warm = socket.ask(rules, generate=False, store=False)
        assert warm.requests == ()
        assert "Answer in verse." in str(socket.ask("one", warm, store=False).requests[-1].body)


@rule("Its events have their fields and their numbers", SCHEMA)
def is_in_shape_on_a_socket(play: Play) -> None:
    with asking_on_socket(play.proxy, play.provider, play.model) as socket:
        assert faults_in(socket.ask("one").reply) == []


def is_kept(check: Callable[[Play], None], play: Play) -> bool:
    play.provider.clear()
    try:
        check(play)
    except Exception as error:
        print(f"{check.__name__}, {play.model}: {type(error).__name__} {str(error)[:200]}", file=sys.stderr)
        return False
    return True


def main() -> None:
    cells = []
    with Provider() as provider, RedisServer() as redis:
        options = ProxyOptions(provider.url, environment=redis.environment)
        for name in ("pristine", "patched"):
            with Proxy(replace(options, tree=tree(name))) as proxy, ResponsesClient(proxy.url, proxy.key) as client:
                client.http.timeout = LONGEST_SECONDS
                for text, (source, check) in RULES.items():
                    kept = sum(is_kept(check, Play(proxy, provider, client, model)) for model in MODELS)
                    cells.append(
                        {"release": installed_release(), "tree": name, "rule": text, "source": source, "kept": kept}
                    )
    json.dump(cells, sys.stdout)


if __name__ == "__main__":
    main()
