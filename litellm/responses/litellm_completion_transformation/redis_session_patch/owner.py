"""Who a response belongs to, and who may continue it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Owner:
    """The identity that the proxy's authentication gave a request; ``None`` where it gave none."""

    user: str | None = None
    team: str | None = None
    key: str | None = None


def owner_of(litellm_metadata: Mapping[str, object] | None) -> Owner:
    """The owner from the ``litellm_metadata`` that the proxy adds to every request."""
    metadata = litellm_metadata or {}
    return Owner(
        user=_text(metadata.get("user_api_key_user_id")),
        team=_text(metadata.get("user_api_key_team_id")),
        key=_text(metadata.get("user_api_key_hash") or metadata.get("user_api_key")),
    )


def may_continue(reader: Owner, owner: Owner) -> bool:
    """Upstream's newest rule: the same user and team; a key with neither, the same key."""
    if owner.user is None and owner.team is None:
        return reader == owner
    return (reader.user, reader.team) == (owner.user, owner.team)


def _text(value: object) -> str | None:
    return str(value) if value not in (None, "") else None
