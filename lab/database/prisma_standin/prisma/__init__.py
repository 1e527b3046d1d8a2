"""A test-only stand-in for the `prisma` package, so that the real LiteLLM proxy runs on a real
PostgreSQL.

Prisma's client talks to a query engine that is a binary download; where that cannot be had, this
package, first on `PYTHONPATH`, takes its place. It reads the models from LiteLLM's own
`schema.prisma` and turns the client calls that LiteLLM makes (`db.litellm_….find_many`, `batch_`,
`tx`, `query_raw`, …) into SQL over asyncpg. It is written for the tests of this repository alone
and must never be on a user's path. It does NOT generate typed code or check argument types; run
migrations or any `prisma` command; talk to anything but PostgreSQL; start an engine process (so
nothing of LiteLLM's engine watching and reconnecting is exercised); support `having`, negative
`take`, cursors over several fields, relations over several columns, nested `update`/`upsert`/`set`
of relations or schema features LiteLLM does not use. What it does not know it refuses with an error
rather than ignoring it. It is more lenient than Prisma in two ways: plain dicts and lists are
accepted for Json fields, and values of raw queries are converted to whatever type PostgreSQL
expects. Engine options and time limits of transactions are accepted and have no effect. Timings and
connection use differ from the real client's.
"""

from . import config, engine, errors, fields, models, types
from .client import Client, Prisma
from .fields import Base64, Json

__all__ = [
    "Base64",
    "Client",
    "Json",
    "Prisma",
    "config",
    "engine",
    "errors",
    "fields",
    "models",
    "types",
]
