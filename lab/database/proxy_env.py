"""What a proxy process needs to run on a database without Prisma's engine.

with postgres() as databases, databases.fresh() as url:
    with Proxy(with_database(ProxyOptions(provider.url), url)) as proxy: ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lab.proxy import ProxyOptions

HERE = Path(__file__).resolve().parent
STANDIN = HERE / "prisma_standin"
NO_OP_COMMANDS = HERE / "bin"
# Upstream adds a random -3 … +3 (1.74) or 0 … 5 seconds to this; its own default is 10 or more.
WRITE_SECONDS = 4


@dataclass(frozen=True)
class DatabaseEnvironment:
    """Added to a proxy's environment: in front of PYTHONPATH, in front of PATH, and variables."""

    python_path: tuple[Path, ...]
    path: tuple[Path, ...]
    variables: Mapping[str, str]


def database_environment(url: str) -> DatabaseEnvironment:
    return DatabaseEnvironment(
        python_path=(STANDIN,),
        path=(NO_OP_COMMANDS,),
        variables={
            "DATABASE_URL": url,
            "DISABLE_SCHEMA_UPDATE": "true",  # the tests have applied the migrations
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        },
    )


def spend_log_settings(write_seconds: int = WRITE_SECONDS) -> dict[str, object]:
    """`general_settings` under which the database holds conversations, and how often upstream
    writes them.
    """
    return {"store_prompts_in_spend_logs": True, "proxy_batch_write_at": write_seconds}


def with_database(options: ProxyOptions, url: str, write_seconds: int = WRITE_SECONDS) -> ProxyOptions:
    """The same proxy, on this database. What the options say already wins over the settings added
    here.
    """
    added = database_environment(url)
    return replace(
        options,
        python_path=(*added.python_path, *options.python_path),
        path=(*added.path, *options.path),
        environment={**added.variables, **options.environment},
        general_settings={**spend_log_settings(write_seconds), **options.general_settings},
    )
