"""Virtual identities for a proxy without a database: the bearer token says who is calling.

`bearer(user="alice", team="red", key="k1")` makes `sk-key=k1,team=red,user=alice`; a field that is
left out is absent in the proxy too, and of `bearer(key=None)` the proxy knows nothing at all; `parallel`
is how many requests of the key may run at once. The proxy loads this file by
`general_settings.custom_auth: custom_auth.user_api_key_auth`.
"""

from __future__ import annotations

import base64
import json
import os


def bearer(
    key: str | None = "k1",
    user: str | None = None,
    team: str | None = None,
    end_user: str | None = None,
    organization: str | None = None,
    metadata: dict | None = None,
    parallel: int | None = None,
) -> str:
    fields: dict[str, object] = {
        "key": key,
        "user": user,
        "team": team,
        "end_user": end_user,
        "organization": organization,
    }
    fields["parallel"] = parallel  # how many requests of the key may run at once
    fields["nobody"] = "yes" if key is None else None
    if metadata is not None:
        fields["metadata"] = base64.urlsafe_b64encode(json.dumps(metadata).encode()).decode().rstrip("=")
    return "sk-" + ",".join(f"{name}={value}" for name, value in sorted(fields.items()) if value is not None)


def fields_of(token: str) -> dict[str, str]:
    parts = (part.partition("=") for part in token.removeprefix("sk-").split(","))
    return {name: value for name, _, value in parts}


def metadata_of(fields: dict[str, str]) -> dict:
    encoded = fields.get("metadata", "")
    return json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))) if encoded else {}


async def user_api_key_auth(request: object, api_key: str) -> object:
    """What the proxy calls for every request; raises for a token that `bearer` did not make."""
    from litellm.proxy._types import LitellmUserRoles, UserAPIKeyAuth

    if api_key == os.environ.get("LITELLM_MASTER_KEY"):
        return UserAPIKeyAuth(api_key=api_key, user_role=LitellmUserRoles.PROXY_ADMIN)
    fields = fields_of(api_key)
    if not {"key", "nobody"} & fields.keys():
        raise ValueError("the token names no key")
    return UserAPIKeyAuth(
        api_key=f"sk-{fields['key']}" if "key" in fields else None,  # the proxy hashes it
        key_alias=fields.get("key"),
        user_id=fields.get("user"),
        team_id=fields.get("team"),
        end_user_id=fields.get("end_user"),
        org_id=fields.get("organization"),
        metadata=metadata_of(fields),
        max_parallel_requests=int(fields["parallel"]) if "parallel" in fields else None,
        user_role=LitellmUserRoles.INTERNAL_USER,
    )
