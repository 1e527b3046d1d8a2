"""Keys, users and teams as an operator makes them: over the proxy's management routes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from lab.client import ResponsesClient

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Management:
    client: ResponsesClient

    def new_user(self) -> str:
        return self._ask("/user/new", user_id=_name("user"), auto_create_key=False)["user_id"]

    def new_team(self, *members: str) -> str:
        team = self._ask("/team/new", team_id=_name("team"))["team_id"]
        for member in members:
            self._ask("/team/member_add", team_id=team, member={"role": "user", "user_id": member})
        return team

    def new_key(self, user: str | None = None, team: str | None = None) -> str:
        fields = {"user_id": user, "team_id": team}
        return self._ask("/key/generate", **{name: value for name, value in fields.items() if value})["key"]

    def has_spent(self, key: str, spend: float, budget: float) -> None:
        """In dollars."""
        self._ask("/key/update", key=key, spend=spend, max_budget=budget)

    def _ask(self, path: str, **fields: object) -> dict:
        headers = {"authorization": f"Bearer {self.client.key}"}
        reply = self.client.http.post(path, json=fields, headers=headers)
        assert reply.status_code == 200, f"{path}: {reply.text}"
        return reply.json()


def _name(kind: str) -> str:
    return f"{kind}-{next(_NUMBERS)}"
