"""Who a response belongs to, and who may continue it."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

_DIGEST_BYTES = 8


@dataclass(frozen=True)
class Owner:
    """The identity that the proxy's authentication gave a request, as digests; ``None`` where it gave none.

    Digests compare as well as names do, and Redis need not hold the names.
    """

    user: str | None = None
    team: str | None = None
    key: str | None = None
    end_user: str | None = None

    @property
    def tag(self) -> str:
        """All four in one text, by which an administrator's erasure finds what is this owner's."""
        return ".".join(part or "" for part in (self.user, self.team, self.key, self.end_user))


def owner_of(litellm_metadata: Mapping[str, object] | None) -> Owner:
    """The owner from the ``litellm_metadata`` that the proxy adds to every request."""
    metadata = litellm_metadata or {}
    return Owner(
        user=digest_of(metadata.get("user_api_key_user_id")),
        team=digest_of(metadata.get("user_api_key_team_id")),
        key=digest_of(metadata.get("user_api_key_hash") or metadata.get("user_api_key")),
        end_user=digest_of(metadata.get("user_api_key_end_user_id")),
    )


def may_continue(reader: Owner, owner: Owner) -> bool:
    """Upstream's newest rule: the same user and team; a key with neither, the same key."""
    if owner.user is None and owner.team is None:
        return (reader.user, reader.team, reader.key) == (None, None, owner.key)
    return (reader.user, reader.team) == (owner.user, owner.team)


def digest_of(name: object) -> str | None:
    """The first 8 bytes of the SHA-256 of a user, team, key hash or end user, in URL-safe base64 (11 characters)."""
    if name is None or name == "":
        return None
    digest = hashlib.sha256(str(name).encode("utf-8", "surrogatepass")).digest()[:_DIGEST_BYTES]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
