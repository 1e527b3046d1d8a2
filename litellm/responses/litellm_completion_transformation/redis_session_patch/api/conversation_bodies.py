"""What a request says of a conversation object: the items and the metadata in its body, checked as OpenAI does."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Required, get_args, get_origin, get_type_hints

from openai.types.responses import ResponseInputItemParam

from ..request.items import referred_to
from ..values.ids import item_place_of
from .stored_responses import BadParameter

MOST_ITEMS = 20
_MOST_PAIRS, _LONGEST_KEY, _LONGEST_VALUE = 16, 64, 512
_ROLES = ("assistant", "system", "developer", "user")
# How an id begins that a client gives an item of this kind.
_PREFIXES = {"message": "msg", "function_call": "fc"}


def missing(param: str) -> BadParameter:
    return BadParameter(param, f"Missing required parameter: '{param}'.", "missing_required_parameter")


def check_items(given: Any) -> None:
    if not isinstance(given, list):
        raise wrong_type("items", "an array of input items", given)
    if not given:
        problem = "empty array. Expected an array with minimum length 1, but got an empty array instead."
        raise BadParameter("items", f"Invalid 'items': {problem}", "empty_array")
    if len(given) > MOST_ITEMS:
        expected = f"Expected an array with maximum length {MOST_ITEMS}, but got an array with length {len(given)}"
        problem = f"Invalid 'items': array too long. {expected} instead."
        raise BadParameter("items", problem, "array_above_max_length")
    for number, item in enumerate(given):
        _check_item(f"items[{number}]", item)


def _check_item(param: str, item: Any) -> None:
    if not isinstance(item, dict):
        raise wrong_type(param, "an object", item)
    kind, item_id = item.get("type", "message"), item.get("id")
    for name, value in (("type", kind), ("id", item_id)):
        if value is not None and not isinstance(value, str):
            raise wrong_type(f"{param}.{name}", "a string", value)
    if referred_to(item) is not None or (item_id is not None and item_place_of(item_id) is not None):
        return
    kinds = _kinds()
    if kind is not None and kind not in kinds:
        supported = ", ".join(f"'{each}'" for each in sorted(kinds))
        problem = f"Invalid value: '{kind}'. Supported values are: {supported}."
        raise BadParameter(f"{param}.type", problem, "invalid_value")
    if kind not in (None, "message") and (absent := [name for name in kinds[kind] if item.get(name) is None]):
        raise missing(f"{param}.{absent[0]}")
    if kind in (None, "message"):
        if item.get("role") not in _ROLES:
            supported = "'assistant', 'system', 'developer', and 'user'"
            problem = f"Invalid value: '{item.get('role') or ''}'. Supported values are: {supported}."
            raise BadParameter(param, problem, "invalid_value")
        content = item.get("content")
        parts = content if isinstance(content, list) else []
        if not isinstance(content, str | list) or not all(isinstance(part, dict) for part in parts):
            raise wrong_type(f"{param}.content", "one of an array of objects or string", content)
        for place, part in enumerate(parts):
            if not isinstance(part.get("type"), str):
                raise missing(f"{param}.content[{place}].type")
            # until 1.86: LiteLLM's streams say none of an answer that has calls alone, and clients give it back.
            if part["type"].endswith("text") and not isinstance(part.get("text"), str | None):
                raise wrong_type(f"{param}.content[{place}].text", "a string", part.get("text"))
    prefix = _PREFIXES.get(kind or "message")
    if item_id is not None and prefix is not None and not item_id.startswith(prefix):
        problem = f"Invalid '{param}.id': '{item_id}'. Expected an ID that begins with '{prefix}'."
        raise BadParameter(f"{param}.id", problem, "invalid_value")


def _texts_in(hint: Any) -> Iterator[str]:
    """Of a literal, which may be in others."""
    for each in get_args(hint):
        yield from [each] if isinstance(each, str) else _texts_in(each)


@lru_cache(maxsize=1)
def _kinds() -> dict[str, list[str]]:
    """The fields that each kind of item needs, as OpenAI's library has them."""
    found: dict[str, list[str]] = {}
    for param in get_args(ResponseInputItemParam):
        hints = get_type_hints(param, include_extras=True)
        needed = [name for name, hint in hints.items() if get_origin(hint) is Required and name != "type"]
        found |= dict.fromkeys(_texts_in(hints["type"]), needed)
    return found


def merged(metadata: Mapping[str, Any], changes: Any) -> dict[str, Any]:
    """``metadata`` after ``changes``. Raises BadParameter."""
    if changes is None:
        changes = {}
    if not isinstance(changes, dict):
        raise wrong_type("metadata", "a metadata object", changes)
    for name, value in changes.items():
        if len(name) > _LONGEST_KEY:
            short = f"{name[:3]}...{name[-3:]}"
            expected = f"Expected a string with maximum length {_LONGEST_KEY}, but got a string with length {len(name)}"
            problem = f"Invalid property name in 'metadata': '{short}' is too long. {expected} instead."
            raise BadParameter(f"metadata.{name}", problem, "property_name_above_max_length")
        if value is not None and not isinstance(value, str):
            raise wrong_type(f"metadata.{name}", "a string", value)
        if value is not None and len(value) > _LONGEST_VALUE:
            expected = f"Expected a string with maximum length {_LONGEST_VALUE}, but got a string with length"
            problem = f"Invalid 'metadata.{name}': string too long. {expected} {len(value)} instead."
            raise BadParameter(f"metadata.{name}", problem, "string_above_max_length")
    merged = {name: value for name, value in {**metadata, **changes}.items() if value is not None}
    if len(merged) > _MOST_PAIRS:
        expected = f"Expected an object with at most {_MOST_PAIRS} properties, but got an object with {len(merged)}"
        problem = f"Invalid 'metadata': too many properties. {expected} properties instead."
        raise BadParameter("metadata", problem, "object_above_max_properties")
    return merged


def wrong_type(param: str, expected: str, given: Any) -> BadParameter:
    problem = f"Invalid type for '{param}': expected {expected}, but got {_kind_of(given)} instead."
    return BadParameter(param, problem, "invalid_type")


def _kind_of(value: Any) -> str:
    kinds = {str: "a string", bool: "a boolean", int: "an integer", float: "a decimal", list: "an array"}
    return "null" if value is None else kinds.get(type(value), "an object")
