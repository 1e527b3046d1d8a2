"""Record classes: `prisma.models.LiteLLM_…`, pydantic models built from the schema on first use."""

from __future__ import annotations

import functools
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from .schema import installed_schema


class Record(BaseModel):
    """Attribute access, `model_dump()` and `dict()` like Prisma's records; values are not validated
    again.
    """

    model_config = ConfigDict(protected_namespaces=(), arbitrary_types_allowed=True, extra="allow")


@functools.cache
def record_class(name: str) -> type[Record]:
    model = installed_schema().models[name]
    required = [f.name for f in model.fields.values() if not (f.is_optional or f.is_list)]
    attributes: dict[str, Any] = dict.fromkeys((*model.fields, *model.relations), (Any, None))
    attributes.update(dict.fromkeys(required, (Any, ...)))
    return create_model(name, __base__=Record, **attributes)


def new_record(name: str, values: dict[str, Any]) -> Record:
    return record_class(name).model_construct(**values)


def __getattr__(name: str) -> Any:
    if name.startswith("__") or name not in installed_schema().models:
        raise AttributeError(f"schema.prisma has no model {name!r}.")
    return record_class(name)
