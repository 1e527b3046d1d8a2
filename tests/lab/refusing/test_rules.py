"""Each rule refuses what it is for, in the provider's words, and takes what is near it."""

from __future__ import annotations

from typing import Any

import pytest

from lab.refusing import MAKERS, RULES, Sent

from . import anthropic_cases, chat_cases, gemini_cases, responses_cases
from .cases import Case

CASES = [*anthropic_cases.CASES, *gemini_cases.CASES, *chat_cases.CASES, *responses_cases.CASES]
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.slug)


def sent(case: Case, body: dict[str, Any]) -> Sent:
    state = case.state if body is case.refused else {}
    return Sent(body, case.model, case.betas, set(case.issued), **state)


@cases
def test_a_rule_refuses_what_it_is_for(case: Case) -> None:
    refusal = MAKERS[case.slug.partition("-")[0]].refusal_of(sent(case, case.refused))
    assert refusal is not None
    assert (refusal.slug, refusal.fault.message) == (case.slug, case.text)
    assert {name: getattr(refusal.fault, name) for name in case.fault} == case.fault


@cases
def test_what_a_rule_refuses_is_taken_without_it(case: Case) -> None:
    assert MAKERS[case.slug.partition("-")[0]].refusal_of(sent(case, case.refused), {case.slug}) is None


@cases
def test_what_is_near_is_taken(case: Case) -> None:
    assert MAKERS[case.slug.partition("-")[0]].refusal_of(sent(case, case.taken)) is None


def test_every_rule_has_a_case_and_a_source() -> None:
    assert set(RULES) == {case.slug for case in CASES}
    assert sum(len(maker.rules) for maker in MAKERS.values()) == len(RULES)
    assert all(rule.source.startswith("https://") for rule in RULES.values())


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("field", ["messages", "contents", "tools", "system", "input"])
@pytest.mark.parametrize("value", [None, "text", 1, [None, "text", 1, []], [{}], [{"content": 1, "parts": 1}]])
def test_a_body_of_any_shape_is_looked_at_by_every_rule(name: str, field: str, value: Any) -> None:
    for rule in MAKERS[name].rules:
        list(rule.check(Sent({field: value})))
