"""Redis, trees, processes and conversations of the test support."""

import os
import socket
import sys
from pathlib import Path

import pytest

from lab import conversations, proxy
from lab.custom_auth import bearer, fields_of, metadata_of
from lab.processes import Child, ProcessFailed, wait_until
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.trees import files_that_differ_from_record, installed_site_packages, tree


def test_redis_starts_crashes_empty_and_starts_again_on_its_port():
    import redis

    with RedisServer(password="secret", maxmemory="20mb") as server:
        client = redis.Redis.from_url(server.url)
        client.set("a", 1)
        assert client.config_get("maxmemory") == {"maxmemory": str(20 * 1024 * 1024)}
        server.crash()
        with pytest.raises(redis.ConnectionError):
            client.get("a")
        server.start()
        assert client.get("a") is None
    with pytest.raises(OSError):
        socket.create_connection((server.host, server.port), timeout=1)


def test_a_paused_redis_answers_nothing_until_it_is_resumed():
    import redis

    with RedisServer() as server:
        client = redis.Redis.from_url(server.url, socket_timeout=0.2, retry=None)
        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.resume()
        assert client.ping()


def test_the_pristine_tree_is_the_wheel_and_costs_no_disk(pristine_tree, release):
    assert files_that_differ_from_record(pristine_tree, release) == []
    name = "litellm/responses/main.py"
    assert (pristine_tree / name).samefile(installed_site_packages() / name)


def test_a_tree_is_made_once():
    first = tree("pristine").stat().st_ino
    tree.cache_clear()
    assert tree("pristine").stat().st_ino == first


def test_the_tests_import_the_tree_under_test():
    import litellm

    if os.environ.get("LITELLM_TREE", "patched") != "installed":
        assert litellm.__file__.startswith(str(tree(os.environ.get("LITELLM_TREE", "patched"))))


def test_a_child_that_ends_early_shows_its_last_words(tmp_path):
    child = Child([sys.executable, "-c", "print('last words'); raise SystemExit(3)"], tmp_path / "log")
    with pytest.raises(ProcessFailed, match=r"(?s)exit code 3.*last words"):
        wait_until(lambda: False, 10, "it", process=child)
    child.stop()


def test_stopping_a_child_ends_its_children(tmp_path):
    code = "import subprocess; child = subprocess.Popen(['sleep', '600']);print(child.pid, flush=True); child.wait()"
    child = Child([sys.executable, "-c", code], tmp_path / "log")
    wait_until(lambda: child.log_text().endswith("\n"), 10, "it", process=child)
    grandchild = int(child.log_text())
    child.stop()
    wait_until(lambda: is_gone(grandchild), 10, "the end of the grandchild")


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with Path(f"/proc/{pid}/stat").open() as status:
        return status.read().rpartition(")")[2].split()[0] == "Z"


class CrashingProxy(Proxy):
    def command(self) -> list[str]:
        return [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"]


def test_what_python_says_of_a_crash_outlives_the_proxy_s_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(proxy, "BUILD", tmp_path)
    crashing = CrashingProxy(ProxyOptions("http://127.0.0.1:1")).start()
    wait_until(lambda: not crashing.is_running(), 30, "the crash")
    crashing.stop()
    (kept,) = tmp_path.iterdir()
    assert kept.read_text().startswith("Fatal Python error: Segmentation fault")


def test_the_last_words_of_a_proxy_are_of_its_crash():
    crashing = CrashingProxy(ProxyOptions("http://127.0.0.1:1")).start()
    with pytest.raises(ProcessFailed, match="ended with exit code -11"):
        crashing.wait_until_ready()
    words = crashing.last_words()
    crashing.stop()
    assert words.startswith("Fatal Python error: Segmentation fault") and "Current thread" in words


class EndingProxy(Proxy):
    def command(self) -> list[str]:
        return [sys.executable, "-c", "print('no port is free')"]


def test_the_last_words_of_a_proxy_that_ended_otherwise_are_its_log_s():
    ending = EndingProxy(ProxyOptions("http://127.0.0.1:1")).start()
    with pytest.raises(ProcessFailed, match="ended with exit code 0"):
        ending.wait_until_ready()
    assert ending.last_words() == "no port is free"
    ending.stop()


# Answers as the proxy does where the file is there; else it makes it, and never does.
HANGS_ONCE = """
import pathlib, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
path, port = pathlib.Path(sys.argv[1]), int(sys.argv[2])
if not path.exists():
    path.touch()
    time.sleep(600)
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
print("Application startup complete " * 2, flush=True)
HTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""


class HangingProxy(Proxy):
    """Its first start never comes up; `path`: see HANGS_ONCE."""

    path: Path

    def command(self) -> list[str]:
        return [sys.executable, "-c", HANGS_ONCE, str(self.path), str(self.port)]


def hanging(path: Path, num_workers: int) -> HangingProxy:
    proxy = HangingProxy(ProxyOptions("http://127.0.0.1:1", num_workers=num_workers))
    proxy.path = path
    return proxy.start()


def test_a_start_of_several_workers_that_hangs_is_made_again(tmp_path):
    proxy = hanging(tmp_path / "started", num_workers=2)
    try:
        assert proxy.wait_until_ready(seconds=15).is_running()
    finally:
        proxy.stop()


def test_a_proxy_that_does_not_come_up_says_where_its_threads_are(tmp_path):
    proxy = hanging(tmp_path / "started", num_workers=1)
    try:
        with pytest.raises(ProcessFailed, match=r"(?s)was not ready after 3 s.*Current thread.*line 7 in <module>"):
            proxy.wait_until_ready(seconds=3)
    finally:
        proxy.stop()


def test_generated_conversations_repeat_by_seed_and_are_unique_otherwise():
    for generate in (conversations.generated_dialogue, conversations.generated_trajectory):
        assert generate(5) == generate(5)
        assert generate(5) != generate(6)
    trajectory = conversations.generated_trajectory(5)
    assert [turn.answered["role"] for turn in trajectory.turns] == ["assistant"] * len(trajectory.turns)
    assert trajectory.turns[-1].history == trajectory.messages[:-1]


def test_recorded_conversations_are_all_played_where_they_are_present():
    if conversations.recorded_folder() is None:
        assert conversations.recorded("dialogues") == []
        return
    assert len(conversations.recorded("dialogues")) == 694
    for each in conversations.recorded("agent_trajectories"):
        assert all(turn.sent for turn in each.turns[:1])


def test_a_recorded_call_has_an_id_that_no_other_has():
    def turn(number: int) -> list[dict]:
        call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        called = {"role": "assistant", "content": None, "tool_calls": [call]}
        return [called, {"role": "tool", "tool_call_id": "call_1", "content": f"found {number}"}]

    messages = list(conversations.with_ids_used_once([*turn(1), *turn(2), *turn(3)]))
    assert [message["tool_call_id"] for message in messages[1::2]] == ["call_1", "call_1_1", "call_1_2"]
    assert [message["tool_calls"][0]["id"] for message in messages[::2]] == ["call_1", "call_1_1", "call_1_2"]
    assert [message["content"] for message in messages[1::2]] == ["found 1", "found 2", "found 3"]


def test_a_bearer_token_names_who_is_calling():
    fields = fields_of(bearer(user="alice", team="red", metadata={"a": [1]}))
    assert (fields["user"], fields["team"], fields["key"], metadata_of(fields)) == (
        "alice",
        "red",
        "k1",
        {"a": [1]},
    )
    assert "team" not in fields_of(bearer(user="alice"))
