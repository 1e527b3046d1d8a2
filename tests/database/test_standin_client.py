"""The `prisma` stand-in's own behaviour, on the tables of the installed LiteLLM."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from lab.database.postgres import Databases, PostgresServer
from lab.database.queries import wait_for

BY = {"created_by": "a test", "updated_by": "a test"}
Query = Callable[[Any], Awaitable[Any]]


def run_on(prisma: ModuleType, url: str, query: Query) -> Any:
    """Runs one asynchronous function with a connected client."""

    async def connected() -> Any:
        async with prisma.Prisma(datasource={"url": url}) as db:
            return await query(db)

    return wait_for(connected())


@pytest.fixture
def run(prisma: ModuleType, database_url: str) -> Callable[[Query], Any]:
    return lambda query: run_on(prisma, database_url, query)


@pytest.fixture(scope="module")
def url_with_teams(prisma: ModuleType, databases: Databases) -> Iterator[str]:
    """For tests that only read."""
    with databases.fresh() as url:
        run_on(prisma, url, make_teams)
        yield url


async def make_teams(db: Any) -> None:
    await db.litellm_teamtable.create_many(
        data=[
            {
                "team_id": "t1",
                "team_alias": "Red",
                "models": ["a", "b"],
                "spend": 1.0,
                "metadata": '{"tier": {"n": 1}}',
            },
            {
                "team_id": "t2",
                "team_alias": "Green",
                "models": ["b"],
                "spend": 2.0,
                "max_budget": 5.0,
            },
            {"team_id": "t3", "team_alias": None, "models": [], "spend": 3.0, "max_budget": 9.0},
        ]
    )


FILTERS = [
    ({}, "t1 t2 t3"),
    ({"team_id": "t2"}, "t2"),
    ({"team_alias": None}, "t3"),
    ({"team_alias": {"not": None}}, "t1 t2"),
    ({"team_id": {"in": ["t1", "t3", "no"]}}, "t1 t3"),
    ({"team_id": {"not_in": ["t1"]}}, "t2 t3"),
    ({"team_id": {"in": []}}, ""),
    ({"team_id": {"not": "t1"}}, "t2 t3"),
    ({"spend": {"gte": 2}}, "t2 t3"),
    ({"spend": {"gt": 1, "lt": 3}}, "t2"),
    ({"team_alias": {"contains": "re"}}, "t2"),
    ({"team_alias": {"contains": "re", "mode": "insensitive"}}, "t1 t2"),
    ({"team_alias": {"startswith": "R"}}, "t1"),
    ({"team_alias": {"equals": "red", "mode": "insensitive"}}, "t1"),
    ({"models": {"has": "b"}}, "t1 t2"),
    ({"models": {"hasSome": ["a", "x"]}}, "t1"),
    ({"models": {"has_every": ["a", "b"]}}, "t1"),
    ({"models": {"is_empty": True}}, "t3"),
    ({"metadata": {"path": ["tier", "n"], "equals": 1}}, "t1"),
    ({"OR": [{"team_id": "t1"}, {"spend": 3.0}]}, "t1 t3"),
    ({"OR": []}, ""),
    ({"AND": [{"spend": {"gt": 1}}, {"max_budget": {"lt": 6}}]}, "t2"),
    ({"NOT": [{"team_id": "t1"}]}, "t2 t3"),
]


@pytest.mark.parametrize(("where", "expected"), FILTERS, ids=lambda value: str(value)[:60])
def test_a_filter_selects_its_rows(where: dict, expected: str, prisma: ModuleType, url_with_teams: str) -> None:
    async def query(db: Any) -> list[str]:
        return [row.team_id for row in await db.litellm_teamtable.find_many(where=where, order={"team_id": "asc"})]

    assert run_on(prisma, url_with_teams, query) == expected.split()


def test_an_unknown_filter_or_field_is_refused_not_ignored(run: Callable, prisma: ModuleType) -> None:
    async def query(db: Any) -> None:
        with pytest.raises(prisma.errors.UnsupportedByStandinError):
            await db.litellm_teamtable.find_many(where={"team_id": {"sounds_like": "x"}})
        for action, arguments in (
            ("find_many", {"where": {"nope": 1}}),
            ("create", {"data": {"nope": 1}}),
        ):
            with pytest.raises(prisma.errors.FieldNotFoundError):
                await getattr(db.litellm_teamtable, action)(**arguments)
        with pytest.raises(AttributeError):
            _ = db.litellm_nosuchtable

    run(query)


def test_a_page_is_ordered_skipped_and_counted(run: Callable) -> None:
    async def query(db: Any) -> tuple:
        await make_teams(db)
        table = db.litellm_teamtable
        page = await table.find_many(order=[{"spend": "desc"}], skip=1, take=1)
        after = await table.find_many(order={"team_id": "asc"}, cursor={"team_id": "t2"}, skip=1)
        return (
            [r.team_id for r in page],
            [r.team_id for r in after],
            await table.count(where={"spend": {"lt": 3}}),
        )

    assert run(query) == (["t2"], ["t3"], 2)


def test_a_record_has_attributes_dumps_and_defaults(run: Callable) -> None:
    async def query(db: Any) -> Any:
        await make_teams(db)
        return await db.litellm_teamtable.find_unique(where={"team_id": "t1"})

    record = run(query)
    assert (record.team_alias, record.models, record.metadata) == (
        "Red",
        ["a", "b"],
        {"tier": {"n": 1}},
    )
    assert record.created_at.tzinfo is not None and record.blocked is False and record.max_budget is None
    assert record.model_dump()["team_id"] == record.dict()["team_id"] == "t1"
    assert dict(record)["spend"] == 1.0


def test_update_knows_the_operations_and_touches_updated_at(run: Callable) -> None:
    async def query(db: Any) -> tuple:
        await make_teams(db)
        before = await db.litellm_teamtable.find_unique(where={"team_id": "t1"})
        changes = {
            "spend": {"increment": 2.5},
            "models": {"push": ["c"]},
            "team_alias": {"set": "Blue"},
        }
        after = await db.litellm_teamtable.update(where={"team_id": "t1"}, data=changes)
        missing = await db.litellm_teamtable.update(where={"team_id": "none"}, data={"spend": 1})
        return before, after, missing

    before, after, missing = run(query)
    assert (after.spend, after.models, after.team_alias) == (3.5, ["a", "b", "c"], "Blue")
    assert after.updated_at > before.updated_at and missing is None


def test_upsert_creates_then_updates(run: Callable) -> None:
    async def query(db: Any) -> list[float]:
        data = {
            "create": {"team_id": "new", "spend": 1.0},
            "update": {"spend": {"increment": 10.0}},
        }
        return [(await db.litellm_teamtable.upsert(where={"team_id": "new"}, data=data)).spend for _ in range(2)]

    assert run(query) == [1.0, 11.0]


def test_a_compound_key_finds_and_upserts(run: Callable) -> None:
    async def query(db: Any) -> tuple:
        table, where = (
            db.litellm_teammembership,
            {"user_id_team_id": {"user_id": "u", "team_id": "t"}},
        )
        data = {"create": {"user_id": "u", "team_id": "t"}, "update": {"spend": {"increment": 4.0}}}
        await table.upsert(where=where, data=data)
        await table.upsert(where=where, data=data)
        return (await table.find_unique(where=where)).spend, (await table.delete(where=where)).team_id

    assert run(query) == (4.0, "t")


def test_relations_are_created_connected_included_and_filtered(run: Callable) -> None:
    async def query(db: Any) -> tuple:
        await db.litellm_budgettable.create(data={"budget_id": "b", "max_budget": 7.0, **BY})
        keys = db.litellm_verificationtoken
        await keys.create(data={"token": "k1", "litellm_budget_table": {"connect": {"budget_id": "b"}}})
        await keys.create(data={"token": "k2", "litellm_budget_table": {"create": {"max_budget": 1.0, **BY}}})
        await keys.create(data={"token": "k3"})
        found = await keys.find_many(include={"litellm_budget_table": True}, order={"token": "asc"})
        rich = await keys.find_many(where={"litellm_budget_table": {"is": {"max_budget": {"gt": 5}}}})
        budget = await db.litellm_budgettable.find_unique(where={"budget_id": "b"}, include={"keys": True})
        budgets = [row.litellm_budget_table and row.litellm_budget_table.max_budget for row in found]
        return (
            budgets,
            [row.token for row in rich],
            [row.token for row in budget.keys],
            found[0].model_dump(),
        )

    budgets, rich, of_budget, dumped = run(query)
    assert (budgets, rich, of_budget) == ([7.0, 1.0, None], ["k1"], ["k1"])
    assert dumped["litellm_budget_table"]["budget_id"] == "b"


def test_group_by_sums_and_counts(run: Callable) -> None:
    async def query(db: Any) -> list[dict]:
        await make_teams(db)
        await db.litellm_teamtable.update_many(where={"team_id": {"in": ["t1", "t2"]}}, data={"blocked": True})
        by = {"by": ["blocked"], "sum": {"spend": True}, "count": True, "order": {"blocked": "asc"}}
        return await db.litellm_teamtable.group_by(**by)

    assert run(query) == [
        {"blocked": False, "_sum": {"spend": 3.0}, "_count": {"_all": 1}},
        {"blocked": True, "_sum": {"spend": 3.0}, "_count": {"_all": 2}},
    ]


def test_duplicates_are_skipped_when_asked_and_refused_when_not(run: Callable, prisma: ModuleType) -> None:
    async def query(db: Any) -> int:
        await make_teams(db)
        rows = [{"team_id": "t1"}, {"team_id": "t4"}]
        with pytest.raises(prisma.errors.UniqueViolationError) as refused:
            await db.litellm_teamtable.create_many(data=rows)
        assert refused.value.code == "P2002" and refused.value.meta["code"] == "23505"
        return await db.litellm_teamtable.create_many(data=rows, skip_duplicates=True)

    assert run(query) == 1


def test_a_batch_commits_together_or_not_at_all(run: Callable, prisma: ModuleType) -> None:
    async def query(db: Any) -> tuple:
        await make_teams(db)
        async with db.batch_() as batch:
            batch.litellm_teamtable.update(where={"team_id": "t1"}, data={"spend": {"increment": 1}})
            batch.litellm_teamtable.update_many(where={"team_id": "none"}, data={"spend": 5})
        with pytest.raises(prisma.errors.RecordNotFoundError):
            async with db.batch_() as batch:
                batch.litellm_teamtable.update(where={"team_id": "t2"}, data={"spend": 99})
                batch.litellm_teamtable.update(where={"team_id": "none"}, data={"spend": 99})
        return [(await db.litellm_teamtable.find_unique(where={"team_id": t})).spend for t in ("t1", "t2")]

    assert run(query) == [2.0, 2.0]


def test_a_transaction_is_undone_by_an_exception(run: Callable) -> None:
    async def query(db: Any) -> int:
        with pytest.raises(KeyError):
            async with db.tx(timeout=dt.timedelta(seconds=5)) as tx:
                await make_teams(tx)
                assert await tx.litellm_teamtable.count() == 3
                raise KeyError("undo")
        return await db.litellm_teamtable.count()

    assert run(query) == 0


def test_raw_queries_take_plain_values_and_return_json_like_rows(run: Callable) -> None:
    async def query(db: Any) -> tuple:
        await make_teams(db)
        sql = 'UPDATE "LiteLLM_TeamTable" SET budget_reset_at = $1::timestamp WHERE team_id = ANY($2)'
        changed = await db.execute_raw(sql, "2031-02-03T04:05:06.007Z", ("t1", "t2"))
        columns = "budget_reset_at, metadata, models, spend::numeric AS spend"
        select = f'SELECT {columns} FROM "LiteLLM_TeamTable" WHERE team_id = $1'
        return changed, await db.query_first(select, "t1"), await db.query_raw(select, "none")

    changed, row, none = run(query)
    assert (changed, none) == (2, [])
    assert row["budget_reset_at"] == "2031-02-03T04:05:06.007+00:00"
    assert (row["metadata"], row["models"], row["spend"]) == ({"tier": {"n": 1}}, ["a", "b"], 1.0)


def test_database_errors_carry_prisma_s_names_and_the_sqlstate(run: Callable, prisma: ModuleType) -> None:
    async def query(db: Any) -> None:
        with pytest.raises(prisma.errors.RawQueryError) as missing:
            await db.query_raw('SELECT * FROM "NoSuchTable"')
        assert missing.value.meta["code"] == "42P01"
        with pytest.raises(prisma.errors.ForeignKeyViolationError):
            await db.litellm_verificationtoken.create(data={"token": "k", "budget_id": "none"})
        with pytest.raises(prisma.errors.DataError) as nul:
            await db.litellm_teamtable.create(data={"team_id": "a\x00b"})
        assert type(nul.value) is prisma.errors.DataError

    run(query)


def test_a_client_that_cannot_reach_its_database_says_so(prisma: ModuleType, database_url: str) -> None:
    async def refused() -> None:
        with pytest.raises(prisma.engine.errors.EngineConnectionError):
            await prisma.Prisma(datasource={"url": database_url + "_is_not_there"}).connect()
        with pytest.raises(prisma.errors.ClientNotConnectedError):
            await prisma.Prisma(datasource={"url": database_url}).query_raw("SELECT 1")

    wait_for(refused())


def test_a_server_that_goes_away_is_prisma_s_unreachable_database(prisma: ModuleType) -> None:
    async def query() -> Any:
        with PostgresServer() as server:
            db = prisma.Prisma(datasource={"url": server.url})
            await db.connect()
            assert await db.query_raw("SELECT 1 AS one") == [{"one": 1}]
        with pytest.raises(prisma.errors.DataError, match="Can't reach database server") as gone:
            await db.query_raw("SELECT 1 AS one")
        return gone.value.code

    assert wait_for(query()) == "P1001"


def test_records_of_every_model_in_the_schema_can_be_built(prisma: ModuleType) -> None:
    schema = prisma.client.installed_schema()
    for name, model in schema.models.items():
        assert set(model.fields) <= set(getattr(prisma.models, name).model_fields)
        for relation in model.relations.values():
            schema.join_columns(model, relation)


def test_every_column_of_the_schema_is_in_the_migrated_database(prisma: ModuleType, run: Callable) -> None:
    async def query(db: Any) -> set[tuple[str, str]]:
        rows = await db.query_raw("SELECT table_name, column_name FROM information_schema.columns")
        return {(row["table_name"], row["column_name"]) for row in rows}

    models = prisma.client.installed_schema().models.values()
    wanted = {(model.table, field.column) for model in models for field in model.fields.values()}
    assert wanted - run(query) == set()
