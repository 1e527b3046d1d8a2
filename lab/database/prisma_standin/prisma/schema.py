"""Reads `schema.prisma` into frozen records: models, scalar fields, relations, unique keys."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA_PATH_VARIABLE = "PRISMA_STANDIN_SCHEMA"
SCALARS = frozenset({"String", "Boolean", "Int", "BigInt", "Float", "Decimal", "DateTime", "Json", "Bytes"})
BLOCK = re.compile(r"^(model|enum)\s+(\w+)\s*\{\s*$")
FIELD = re.compile(r"^(\w+)\s+(\w+)(\[\]|\?)?\s*(.*)$")
GENERATED = frozenset({"uuid", "cuid", "now"})
LEFT_TO_THE_DATABASE = frozenset({"autoincrement", "dbgenerated"})


@dataclass(frozen=True)
class Field:
    name: str
    column: str
    type: str
    is_list: bool
    is_optional: bool
    is_id: bool
    is_unique: bool
    is_updated_at: bool
    enum: str | None  # the name of its type, where the type is "Enum"
    generated: str | None  # uuid, cuid or now: computed by the client
    default: Any  # a literal, or None


@dataclass(frozen=True)
class Relation:
    name: str
    target: str
    is_list: bool
    label: str | None
    own_fields: tuple[str, ...]  # empty on the side without the foreign key
    target_fields: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    name: str
    table: str
    fields: dict[str, Field]
    relations: dict[str, Relation]
    compound_keys: dict[str, tuple[str, ...]]

    @property
    def primary_key(self) -> tuple[str, ...]:
        single = tuple(field.name for field in self.fields.values() if field.is_id)
        return single or next(iter(self.compound_keys.values()))


@dataclass(frozen=True)
class Schema:
    models: dict[str, Model]
    enums: dict[str, tuple[str, ...]]

    def by_accessor(self, name: str) -> Model | None:
        """The model behind `db.<name>`: Prisma's accessor is the model's name in lower case."""
        return self._by_accessor.get(name)

    @functools.cached_property
    def _by_accessor(self) -> dict[str, Model]:
        return {name.lower(): model for name, model in self.models.items()}

    def opposite(self, model: Model, relation: Relation) -> Relation:
        """The other end of a relation: the same label, or the only one that points back."""
        back = [r for r in self.models[relation.target].relations.values() if r.target == model.name]
        matching = [r for r in back if r.label == relation.label and bool(r.own_fields) != bool(relation.own_fields)]
        if len(matching) != 1:
            raise ValueError(f"schema.prisma: {model.name}.{relation.name} has {len(matching)} opposites, not 1.")
        return matching[0]

    def join_columns(self, model: Model, relation: Relation) -> tuple[str, str]:
        """(field on this model, field on the target) that a relation joins by."""
        if relation.own_fields:
            pair = (relation.own_fields, relation.target_fields)
        else:
            other = self.opposite(model, relation)
            pair = (other.target_fields, other.own_fields)
        if len(pair[0]) != 1:
            raise ValueError(f"{model.name}.{relation.name} joins by several columns, which the stand-in cannot.")
        return pair[0][0], pair[1][0]


def names_in(text: str) -> tuple[str, ...]:
    """The field names of `[a, b(sort: Desc)]`."""
    return tuple(re.sub(r"\(.*?\)", "", part).strip() for part in text.split(",") if part.strip())


def bracket(attributes: str, key: str) -> tuple[str, ...]:
    found = re.search(rf"{key}:\s*\[([^\]]*)\]", attributes)
    return names_in(found.group(1)) if found else ()


def default_expression(attributes: str) -> str | None:
    """The text between the balanced parentheses of `@default(...)`."""
    start = attributes.find("@default(")
    if start < 0:
        return None
    begin = depth_at = start + len("@default(")
    depth = 1
    while depth:
        depth += {"(": 1, ")": -1}.get(attributes[depth_at], 0)
        depth_at += 1
    return attributes[begin : depth_at - 1].strip()


def parse_default(expression: str | None, type_name: str) -> tuple[str | None, Any]:
    """(how the client generates the value, literal value)."""
    if expression is None:
        return None, None
    function = expression.split("(")[0]
    if "(" in expression and function in GENERATED:
        return function, None
    if "(" in expression and function in LEFT_TO_THE_DATABASE:
        return None, None
    if type_name not in SCALARS:
        return None, expression  # an enum's value, written bare
    return None, json.loads(expression)


def parse_field(line: str, enums: frozenset[str]) -> Field | Relation:
    match = FIELD.match(line)
    if match is None:
        raise ValueError(f"schema.prisma: cannot read the field line {line!r}.")
    name, type_name, suffix, attributes = match.groups()
    if type_name not in SCALARS and type_name not in enums:
        label = re.search(r'@relation\(\s*(?:name:\s*)?"(\w+)"', attributes)
        fields, references = bracket(attributes, "fields"), bracket(attributes, "references")
        return Relation(name, type_name, suffix == "[]", label and label.group(1), fields, references)
    generated, default = parse_default(default_expression(attributes), type_name)
    mapped = re.search(r'@map\("([^"]+)"\)', attributes)
    return Field(
        name=name,
        column=mapped.group(1) if mapped else name,
        type=type_name if type_name in SCALARS else "Enum",
        is_list=suffix == "[]",
        is_optional=suffix == "?",
        is_id=re.search(r"@id\b", attributes) is not None,
        is_unique="@unique" in attributes,
        is_updated_at="@updatedAt" in attributes,
        enum=type_name if type_name in enums else None,
        generated=generated,
        default=default,
    )


def parse_model(name: str, lines: list[str], enums: frozenset[str]) -> Model:
    table, compound = name, {}
    fields: dict[str, Field] = {}
    relations: dict[str, Relation] = {}
    for line in lines:
        if line.startswith("@@"):
            mapped = re.match(r'@@map\("([^"]+)"\)', line)
            table = mapped.group(1) if mapped else table
            key = re.match(r"@@(?:id|unique)\(\s*(?:fields:\s*)?\[([^\]]*)\](.*)", line)
            if key:
                columns = names_in(key.group(1))
                alias = re.search(r'name:\s*"(\w+)"', key.group(2))
                compound[alias.group(1) if alias else "_".join(columns)] = columns
            continue
        parsed = parse_field(line, enums)
        (fields if isinstance(parsed, Field) else relations)[parsed.name] = parsed
    return Model(name, table, fields, relations, compound)


def parse_schema(text: str) -> Schema:
    blocks: dict[tuple[str, str], list[str]] = {}
    current: list[str] | None = None
    for raw in text.splitlines():
        line = re.sub(r'^((?:[^"/]|"[^"]*"|/(?!/))*)//.*$', r"\1", raw).strip()
        opening = BLOCK.match(line)
        if opening:
            current = blocks.setdefault((opening.group(1), opening.group(2)), [])
        elif line == "}":
            current = None
        elif current is not None and line:
            current.append(line)
    enums = {name: tuple(line.split()[0] for line in body) for (kind, name), body in blocks.items() if kind == "enum"}
    names = frozenset(enums)
    return Schema(
        {name: parse_model(name, body, names) for (kind, name), body in blocks.items() if kind == "model"}, enums
    )


def schema_path() -> Path:
    """The schema named in the environment, else the one inside the installed LiteLLM."""
    named = os.environ.get(SCHEMA_PATH_VARIABLE)
    if named:
        return Path(named)
    spec = importlib.util.find_spec("litellm")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"LiteLLM is not installed and {SCHEMA_PATH_VARIABLE} is not set: no schema.prisma.")
    return Path(next(iter(spec.submodule_search_locations))) / "proxy" / "schema.prisma"


@functools.lru_cache(maxsize=1)
def installed_schema() -> Schema:
    return parse_schema(schema_path().read_text(encoding="utf-8"))
