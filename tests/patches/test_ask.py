"""`ask` on real servers: an administrator's key goes to the server that was named, and to no other.

With a proxy: tests/e2e/test_tool_asks.py.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.redis_server import RedisServer
from patches import read_fork_version, read_own_files
from patches.own import build_of

REPOSITORY = Path(__file__).resolve().parents[2]
ROUTE = "/health/session_store"
KEY = "sk-administrator"


class Server(ThreadingHTTPServer):
    """Answers as the fork does below `/there`, and sends all else on to `location`. `asked`: (path, key) of each."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.location, self.status = "", 302
        self.body: bytes = b'{"fork": "0.0.1", "release": "1.2.3"}'
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))
        if self.path.startswith("/there") or not self.server.location:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.server.body)))
            self.end_headers()
            self.wfile.write(self.server.body)
        else:
            self.send_response(self.server.status)
            self.send_header("Location", self.server.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    made = Server(), Server()
    threads = [threading.Thread(target=each.serve_forever, daemon=True) for each in made]
    for thread in threads:
        thread.start()
    yield made
    for server, thread in zip(made, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join()


def ask(url: str, key: str = KEY, *more: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, "-m", "patches", "ask", "--proxy", url, "--key", key, *more]
    return subprocess.run(command, cwd=REPOSITORY, env=clean, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("status", [301, 302, 303, 307])
def test_a_redirect_to_another_server_is_refused_and_that_one_is_not_asked(
    servers: tuple[Server, Server], status: int
) -> None:
    named, other = servers
    named.location, named.status = f"{other.url}/there", status
    done = ask(named.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0].startswith(f"error: {named.url}{ROUTE}: sends on to {other.url}/there, which is")
    assert KEY not in done.stderr
    assert (named.asked, other.asked) == ([(ROUTE, f"Bearer {KEY}")], [])


@pytest.mark.parametrize("scheme", ["https:", "ftp:"])
def test_so_is_one_to_another_scheme_or_name_of_the_same_server(servers: tuple[Server, Server], scheme: str) -> None:
    named, _ = servers
    for location in (named.url.replace("http:", scheme), named.url.replace("127.0.0.1", "localhost")):
        named.location = f"{location}/there"
        done = ask(named.url)
        assert (done.returncode, f"sends on to {location}/there" in done.stderr) == (1, True)
    assert [path for path, _ in named.asked] == [ROUTE, ROUTE]


def test_one_after_a_redirect_within_the_server_is_refused_too(servers: tuple[Server, Server]) -> None:
    named, other = servers
    named.location = "/twice"
    assert "infinite loop" in ask(named.url).stderr
    named.asked.clear()
    named.location = f"//{other.url.removeprefix('http://')}/there"
    assert ask(f"{named.url}/twice").returncode == 1
    assert other.asked == []


@pytest.mark.parametrize("location", ["/there", "{url}/there"])
def test_a_redirect_within_the_server_is_followed(servers: tuple[Server, Server], location: str) -> None:
    named, _ = servers
    named.location = location.format(url=named.url)
    done = ask(named.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "fork 0.0.1, build unknown, runs there, on LiteLLM 1.2.3" in done.stdout
    assert named.asked == [(ROUTE, f"Bearer {KEY}"), ("/there", f"Bearer {KEY}")]


def test_a_key_that_cannot_be_sent_is_not_shown(servers: tuple[Server, Server]) -> None:
    named, _ = servers
    done = ask(named.url, f"{KEY}\nmore")
    assert (done.returncode, KEY in done.stderr, named.asked) == (1, False, [])


ACTIVE = {
    "fork": read_fork_version(),
    "build": build_of(read_own_files()),
    "release": "1.2.3",
    "state": "active",
    "active": True,
    "why": "",
    "redis": "redis://cache:6379/0 (REDIS_URL)",
    "redis_problems": ["it cannot store a turn (NOPERM)"],
    "breaker_open_since": {"read": None, "write": "2026-01-02T03:04:05+00:00"},
}
OFF = {**ACTIVE, "state": "off", "active": False, "why": "REDIS_SESSION_PATCH_ENABLED=false", "redis": ""}
INACTIVE = {**OFF, "state": "inactive", "why": "no Redis is configured"}


def test_it_says_what_is_there(servers: tuple[Server, Server]) -> None:
    named, _ = servers
    named.body = json.dumps({**ACTIVE, "counts": {"lookups": {}}}).encode()
    lines = ask(named.url).stdout.splitlines()
    assert lines == [
        f"proxy     {named.url}",
        f"result    fork {ACTIVE['fork']}, build {ACTIVE['build']}, runs there, on LiteLLM 1.2.3",
        "state     active",
        "redis     redis://cache:6379/0 (REDIS_URL)",
        "problem   it cannot store a turn (NOPERM)",
        "breaker   write: open since 2026-01-02T03:04:05+00:00",
    ]
    told = json.loads(ask(named.url, KEY, "--json").stdout)
    assert {name: told[name] for name in ACTIVE} == ACTIVE
    named.body = json.dumps(INACTIVE).encode()
    assert "state     inactive: no Redis is configured" in ask(named.url).stdout


@pytest.mark.parametrize("changed", ["fork", "build"])
def test_another_build_than_the_tools_is_noted(servers: tuple[Server, Server], changed: str) -> None:
    named, _ = servers
    named.body = json.dumps({**ACTIVE, changed: "another"}).encode()
    done = ask(named.url)
    mine = f"note      this tool is of fork {read_fork_version()}, build {build_of(read_own_files())}"
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, mine)


@pytest.mark.parametrize("expected", ["active", "off"])
@pytest.mark.parametrize("said", [ACTIVE, OFF, INACTIVE, {"fork": "0.0.1", "release": "1.2.3"}])
def test_another_state_than_the_expected_one_ends_with_3(
    servers: tuple[Server, Server], expected: str, said: dict[str, object]
) -> None:
    named, _ = servers
    named.body = json.dumps(said).encode()
    done = ask(named.url, KEY, "--expect", expected)
    state = said.get("state", "unknown")
    assert done.returncode == (0 if state == expected else 3)
    assert (f"expected  {expected}, found {state}" in done.stdout) is (state != expected)
    told = json.loads(ask(named.url, KEY, "--expect", expected, "--json").stdout)
    assert (told["exit_code"], told["expected"], told["state"]) == (done.returncode, expected, state)


def is_one_clear_line(done: subprocess.CompletedProcess[str], said: str) -> None:
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (1, "", 2), done
    assert lines[0].startswith("error: ") and said in lines[0] and lines[1].startswith("next:  "), done


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"3",
        b'"fork"',
        b"<html>",
        b"\xff\xfe",
        b'{"fork": "1"}',
        b'{"fork": {}, "release": "1"}',
        b'{"fork": "1", "release": "1", "breaker_open_since": []}',
        b'{"fork": "1", "release": "1", "redis_problems": 3}',
        b"[" * 100_000,
        b'{"fork": "1", "release": "1", "redis": ' + b"[" * 900 + b"]" * 900 + b"}",
        b"1" * 2_000_000,
    ],
    ids=range(15),
)
def test_a_server_that_says_something_else_is_one_clear_line(servers: tuple[Server, Server], body: bytes) -> None:
    named, _ = servers
    named.body = body
    done = ask(named.url)
    if done.returncode != 0:  # of the one that is nested 900 times, a newer Python makes a text
        is_one_clear_line(done, f"{named.url}: ")


@pytest.mark.parametrize("status", [300, 304, 400, 418, 500, 503])
def test_a_status_that_is_none_of_the_key_does_not_ask_for_another_key(
    servers: tuple[Server, Server], status: int
) -> None:
    named, _ = servers
    named.location, named.status = "/nowhere", status
    done = ask(named.url)
    is_one_clear_line(done, f"answers {status}")
    assert "--key" not in done.stderr


@pytest.fixture
def raw(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server that answers each connection with these bytes, and ends it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(request.param)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x15\x03\x01\x00\x02\x02\x0a",
        b"HTTP/1.1 abc\r\n\r\n",
        HEAD,
        HEAD + b'{"fork": "0.0.1", "rel',
        HEAD.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked") + b'5\r\n{"for',
        HEAD.replace(b"1000", b"x" * 70_000),
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
    ids=["nothing", "ssh", "tls", "status", "no body", "cut", "cut chunk", "long header", "many headers"],
    indirect=True,
)
def test_what_is_no_http_or_is_cut_is_one_clear_line(raw: str) -> None:
    is_one_clear_line(ask(raw), f"{raw}: cannot be asked (")


def test_a_redis_is_one_clear_line() -> None:
    with RedisServer() as server:
        is_one_clear_line(ask(f"http://{server.host}:{server.port}"), "cannot be asked (")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999",
        "http://127.0.0.1:-1",
        "http://127.0.0.1:abc",
        "http://",
        "http://[::1",
        "http://h\u00fc.invalid\u2100",
        "http://127.0.0.1:1/\u00fc",
        "http://127.0.0.1:1/a b",
    ],
)
def test_an_address_that_is_none_is_one_clear_line(url: str) -> None:
    is_one_clear_line(ask(url), "cannot be asked (")


def test_a_port_that_is_none_is_not_made_another_one(servers: tuple[Server, Server]) -> None:
    """The system counts modulo 65536."""
    named, _ = servers
    is_one_clear_line(ask(f"http://127.0.0.1:{named.server_port + 65536}"), "cannot be asked (")
    assert named.asked == []


@pytest.mark.parametrize("url", ["", "127.0.0.1:4000", "localhost:4000", "file:///etc", "data:,x", "ftp://127.0.0.1:1"])
def test_only_http_is_asked(url: str) -> None:
    is_one_clear_line(ask(url), "is no address of a proxy")


@pytest.mark.parametrize("key", [f"{KEY}\u20ac", f"{KEY}\x1b[2J"])
def test_a_key_of_odd_letters_is_not_shown(servers: tuple[Server, Server], key: str) -> None:
    named, _ = servers
    done = ask(named.url, key)
    assert (done.returncode, KEY in done.stderr, "\u20ac" in done.stderr, named.asked) == (1, False, False, [])
