"""`ask` on real servers: an administrator's key goes to the server that was named, and to no other.

With a proxy: tests/e2e/test_tool_asks.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ROUTE = "/health/session_store"
KEY = "sk-administrator"


class Server(ThreadingHTTPServer):
    """Answers as the fork does below `/there`, and sends all else on to `location`. `asked`: (path, key) of each."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.location, self.status = "", 302
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))
        if self.path.startswith("/there") or not self.server.location:
            body = b'{"fork": "0.0.1", "release": "1.2.3"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
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


def ask(url: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, "-m", "patches", "ask", "--proxy", url, "--key", key]
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
    assert "fork 0.0.1 runs there, on LiteLLM 1.2.3" in done.stdout
    assert named.asked == [(ROUTE, f"Bearer {KEY}"), ("/there", f"Bearer {KEY}")]


def test_a_key_that_cannot_be_sent_is_not_shown(servers: tuple[Server, Server]) -> None:
    named, _ = servers
    done = ask(named.url, f"{KEY}\nmore")
    assert (done.returncode, KEY in done.stderr, named.asked) == (1, False, [])
