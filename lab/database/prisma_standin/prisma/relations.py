"""Records that hang on other records: `include` after a read, `connect` and `create` around a
write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import RecordNotFoundError, UnsupportedByStandinError
from .models import Record
from .schema import Model, Relation

if TYPE_CHECKING:
    from .actions import TableActions


async def load_included(actions: TableActions, records: list[Record], include: dict[str, Any] | None) -> None:
    """Fills the named relations of all records with one query a relation."""
    for name, wanted in (include or {}).items():
        if not wanted:
            continue
        relation = actions.model.relations[name]
        own, other = actions.schema.join_columns(actions.model, relation)
        keys = list({getattr(record, own) for record in records} - {None})
        options = dict(wanted) if isinstance(wanted, dict) else {}
        take, skip = options.pop("take", None), options.pop("skip", None) or 0
        where = {"AND": [{other: {"in": keys}}, options.pop("where", None) or {}]}
        found = await actions.sibling(relation.target).find_many(where=where, **options) if keys else []
        for record in records:
            mine = [row for row in found if getattr(row, other) == getattr(record, own)]
            page = mine[skip : None if take is None else skip + take]
            setattr(record, name, page if relation.is_list else next(iter(mine), None))


async def write_owned(actions: TableActions, relations: dict[str, Any]) -> dict[str, Any]:
    """Before a write: makes or finds what this record points to; returns its foreign keys."""
    foreign_keys: dict[str, Any] = {}
    for name, operations in relations.items():
        relation = actions.model.relations[name]
        if not relation.own_fields:
            continue
        own, other = actions.schema.join_columns(actions.model, relation)
        for operation, operand in operations.items():
            target = await resolve(actions, relation, operation, operand)
            foreign_keys[own] = None if target is None else getattr(target, other)
    return foreign_keys


async def resolve(actions: TableActions, relation: Relation, operation: str, operand: Any) -> Record | None:
    target = actions.sibling(relation.target)
    if operation == "create":
        return await target.create(data=operand)
    if operation == "connect":
        return required(await target.find_unique(where=operand), relation)
    if operation == "connect_or_create":
        return await target.find_unique(where=operand["where"]) or await target.create(data=operand["create"])
    if operation == "disconnect":
        return None
    raise unsupported(actions.model, relation, operation)


async def write_owning(actions: TableActions, record: Record, relations: dict[str, Any]) -> None:
    """After a write: points the records on the other side at this one."""
    for name, operations in relations.items():
        relation = actions.model.relations[name]
        if relation.own_fields:
            continue
        own, other = actions.schema.join_columns(actions.model, relation)
        target = actions.sibling(relation.target)
        for operation, operand in operations.items():
            for item in operand if isinstance(operand, (list, tuple)) else [operand]:
                if operation == "create":
                    await target.create(data={**item, other: getattr(record, own)})
                elif operation in ("connect", "disconnect"):
                    key = getattr(record, own) if operation == "connect" else None
                    required(await target.update(where=item, data={other: key}), relation)
                else:
                    raise unsupported(actions.model, relation, operation)


def required(record: Record | None, relation: Relation) -> Record:
    if record is None:
        raise RecordNotFoundError(message=f"No {relation.target} record to connect {relation.name!r} to.")
    return record


def unsupported(model: Model, relation: Relation, operation: str) -> UnsupportedByStandinError:
    return UnsupportedByStandinError(
        f"The prisma stand-in does not know the nested write {operation!r} on {model.name}.{relation.name}."
    )
