"""The database fixture: fresh copies, nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.database import postgres as module
from lab.database.additions import add_what_is_missing
from lab.database.postgres import Databases, PostgresServer, installed_migrations, package_folder, postgres
from lab.database.queries import MigrationFailed, can_connect, fetch, run_script, run_statement


def names(url: str) -> list[str]:
    return [row["datname"] for row in fetch(url, "SELECT datname FROM pg_database WHERE datname LIKE 'litellm_test_%'")]


def test_two_fresh_databases_share_nothing(databases: Databases) -> None:
    with databases.fresh() as first, databases.fresh() as second:
        run_statement(first, "INSERT INTO \"LiteLLM_TeamTable\" (team_id) VALUES ('only here')")
        counts = [fetch(url, 'SELECT count(*) AS n FROM "LiteLLM_TeamTable"')[0]["n"] for url in (first, second)]
    assert counts == [1, 0]
    assert not can_connect(first)


def test_a_server_leaves_no_process_no_folder_and_no_port() -> None:
    with PostgresServer() as server:
        folder, pid = server._folder, server._child.pid
        assert folder.is_dir() and can_connect(server.url)
    assert not folder.exists() and not Path(f"/proc/{pid}").exists() and not can_connect(server.url)


def test_a_given_server_is_used_and_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    with PostgresServer() as server:
        monkeypatch.setenv("TEST_DATABASE_URL", server.url)
        monkeypatch.setattr(module, "PostgresServer", None)
        with postgres() as databases, databases.fresh(migrations=()) as url:
            assert f":{server.port}/" in url and len(names(server.url)) == 2
        assert names(server.url) == []


def test_a_refused_migration_is_named(databases: Databases, tmp_path: Path) -> None:
    script = tmp_path / "20250101_add nonsense" / "migration.sql"
    script.parent.mkdir()
    script.write_text("CREATE TABLE t (a int); SELECT no_such_function();")
    with (
        pytest.raises(MigrationFailed, match="20250101_add nonsense"),
        databases.fresh(migrations=(script,)),
    ):
        pass


def test_the_installed_migrations_are_in_order() -> None:
    folders = [path.parent.name for path in installed_migrations()]
    assert folders == sorted(folders) and len(folders) > 10


def test_a_migration_without_a_statement_is_none(databases: Databases) -> None:
    with databases.fresh(migrations=()) as url:
        run_script(url, "-- Left empty on purpose.\n", "empty")


SCHEMA = """
enum Mood {
  calm
  busy
}

model Person {
  id     BigInt   @id @default(autoincrement())
  name   String   @unique
  mood   Mood     @default(calm)
  tags   String[]
  facts  Json     @default("{}")
  since  DateTime @default(now())
  is_new Boolean  @default(true)
  rooms  Room[]

  @@unique([name, mood])
  @@map("people")
}

model Room {
  number Int
  owner  BigInt
  person Person @relation(fields: [owner], references: [id])

  @@id([number, owner])
}
"""


def test_what_a_schema_has_and_a_database_lacks_is_added_once(databases: Databases, tmp_path: Path) -> None:
    file = tmp_path / "schema.prisma"
    file.write_text(SCHEMA)
    with databases.fresh(migrations=()) as url:
        run_script(url, 'CREATE TABLE "Room" (number int); INSERT INTO "Room" VALUES (7)', "before")
        assert len(add_what_is_missing(url, file)) == 3
        run_statement(url, "INSERT INTO people (name) VALUES ('Ada')")
        (row,) = fetch(url, "SELECT * FROM people")
        assert row.pop("since") and row == {
            "id": 1, "name": "Ada", "mood": "calm", "tags": [], "facts": {}, "is_new": True,
        }  # fmt: skip
        assert fetch(url, 'SELECT * FROM "Room"') == [{"number": 7, "owner": None}]
        with pytest.raises(Exception, match="unique"):
            run_statement(url, "INSERT INTO people (name) VALUES ('Ada')")
        assert add_what_is_missing(url, file) == []


def test_a_migrated_database_lacks_nothing_of_its_release_s_schema(database_url: str) -> None:
    assert add_what_is_missing(database_url, package_folder("litellm") / "proxy" / "schema.prisma") == []
