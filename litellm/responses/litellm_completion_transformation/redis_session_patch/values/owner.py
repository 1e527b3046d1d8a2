"""Who a response belongs to, and who may continue it."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

# What an owner is known by, in the order of ``Owner.tag``.
PARTS = ("user", "team", "key_hash", "end_user", "organization")


@dataclass(frozen=True)
class Owner:
    """The identity that the proxy's authentication gave a request, as digests; ``None`` where it gave none.

    Digests compare as well as names do, and Redis need not hold the names. ``claimed_end_user``: an end user that only
    the request itself names; it may be anybody's, so it identifies nobody.
    """

    user: str | None = None
    team: str | None = None
    key: str | None = None
    end_user: str | None = None
    organization: str | None = None
    claimed_end_user: str | None = None

    @property
    def identity(self) -> str | None:
        """What two requests of one owner have in common, without a space; ``None``: nothing is known of the owner."""
        if self.user or self.team:
            return f"user:{self.user or ''}.{self.team or ''}"
        if self.key:
            return f"key:{self.key}"
        if self.end_user or self.organization:
            return f"end_user:{self.end_user or ''}.{self.organization or ''}"
        return None

    @property
    def tag(self) -> str:
        """All that is known, joined by dots, by which an administrator's erasure finds what is this owner's."""
        end_user = self.end_user or self.claimed_end_user
        return ".".join(part or "" for part in (self.user, self.team, self.key, end_user, self.organization))


# Nothing is known: owns nothing, and may read nothing.
NOBODY = Owner()

# Everybody who sends no key to a proxy that does not authenticate: one tenant. No digest is this word.
ANYBODY = Owner(key="anybody")


def owner_of(metadata: Mapping[str, object]) -> Owner:
    """The owner from what the proxy says of a key: the ``user_api_key_…`` entries of ``litellm_metadata``."""
    return Owner(
        user=digest_of(metadata.get("user_api_key_user_id")),
        team=digest_of(metadata.get("user_api_key_team_id")),
        key=digest_of(metadata.get("user_api_key_hash") or metadata.get("user_api_key")),
        end_user=digest_of(metadata.get("user_api_key_end_user_id")),
        organization=digest_of(metadata.get("user_api_key_org_id")),
    )


def may_continue(reader: Owner, owner: Owner) -> bool:
    """Whether both are the same owner; one of whom nothing is known is nobody's, not even its own."""
    return owner.identity is not None and reader.identity == owner.identity


def digest_of(name: object) -> str | None:
    """The first 8 bytes of the SHA-256 of a name or a key's hash, in URL-safe base64 (11 characters)."""
    return None if name is None or name == "" else _digest_of(str(name))


@lru_cache(maxsize=4096)  # Each request asks for its caller's again and again.
def _digest_of(name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
