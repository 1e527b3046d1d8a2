"""Which Redis to purge: from a URL, or from the environment as the proxy reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, quote, unquote, urlsplit

from patches.errors import PatchError

_FORMS = "redis://[user:password@]host:port/db, rediss:// or unix:///path?db=0"


@dataclass(frozen=True)
class RedisAddress:
    """`socket_path` is used instead of host and port where set. `verify` and `ca_file` concern TLS
    only."""

    host: str = "localhost"
    port: int = 6379
    database: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    socket_path: str = ""
    use_tls: bool = False
    verify: bool = True
    ca_file: str = ""

    def at(self, host: str, port: int) -> RedisAddress:
        """The same credentials on another node of a cluster."""
        return replace(self, host=host, port=port, socket_path="", database=0)

    def __str__(self) -> str:
        """For people, without the password."""
        if self.socket_path:
            return f"unix://{self.socket_path}?db={self.database}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.use_tls else 'redis'}://{host}:{self.port}/{self.database}"


def address_from_url(url: str) -> RedisAddress:
    """Raises PatchError, without the password in it, when the URL is none."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        path = unquote(parts.path)
        is_unix = parts.scheme == "unix"
        database = int(query.get("db") or (0 if is_unix else path.strip("/")) or 0)
        if parts.scheme not in ("redis", "rediss", "unix") or (is_unix and not path):
            raise ValueError
    except ValueError:
        raise PatchError("this is no Redis URL", f"give --url as {_FORMS}") from None
    return RedisAddress(
        host=parts.hostname or "localhost",
        port=port,
        database=database,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or query.get("password", "")),
        socket_path=path if is_unix else "",
        use_tls=parts.scheme == "rediss",
        verify=query.get("ssl_cert_reqs", "required").lower() not in ("none", "cert_none"),
        ca_file=query.get("ssl_ca_certs", ""),
    )


def address_from_environment(environment: Mapping[str, str]) -> RedisAddress:
    """The fork's own URL, else the proxy's REDIS_URL, else REDIS_HOST and its companions; raises
    PatchError."""
    for name in ("REDIS_SESSION_PATCH_URL", "REDIS_URL"):
        if environment.get(name):
            return address_from_url(environment[name])
    if not environment.get("REDIS_HOST"):
        raise PatchError(
            "no Redis given: REDIS_SESSION_PATCH_URL, REDIS_URL and REDIS_HOST are unset",
            f"give --url as {_FORMS}",
        )
    scheme = "rediss" if environment.get("REDIS_SSL", "").strip().lower() in ("1", "true", "yes", "on") else "redis"
    host = environment["REDIS_HOST"]
    user, password = (quote(environment.get(f"REDIS_{name}", ""), safe="") for name in ("USERNAME", "PASSWORD"))
    port, database = environment.get("REDIS_PORT") or "6379", environment.get("REDIS_DB") or "0"
    login = f"{user}:{password}@" if user or password else ""
    return address_from_url(f"{scheme}://{login}{f'[{host}]' if ':' in host else host}:{port}/{database}")
