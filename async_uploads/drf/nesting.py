"""Which record does a serializer edit? DRF tells only the outermost one; a nested one is found through its parent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from django.db import models
from rest_framework import serializers
from rest_framework.fields import get_attribute
from rest_framework.utils.html import is_html_input, parse_html_list

from async_uploads.exceptions import UploadNotFound
from async_uploads.uploads import find_record

PLACES = "_async_uploads_places"


def record_of(serializer: Any, item: Any) -> Any:
    """The record that ``serializer`` edits when it reads ``item``, a part of the request's data; None for a new one.

    A child is looked for among the children of its own parent only, by the primary key in ``item``. Sync: may ask the
    database.
    """
    if not isinstance(serializer, serializers.BaseSerializer):  # such as a ListField
        return None
    if isinstance(serializer.instance, models.Model):
        return serializer.instance
    parent: Any = serializer.parent
    if parent is None:
        return None
    if not isinstance(parent, serializers.ListSerializer):
        return _related_to_outer(serializer, item)
    siblings = parent.instance if parent is parent.root else _related_to_outer(parent, item)
    return _member(siblings, serializer, item)


def values_for(field: Any) -> Iterator[Any]:
    """Every value that the request's data has for ``field``, in one record or in many."""
    for item in _read_by(field.parent):
        if isinstance(item, Mapping):
            yield serializers.Field.get_value(field, item)
        elif isinstance(item, list):  # of a ListField
            yield from item


def _related_to_outer(nested: Any, item: Any) -> Any:
    """What the ``source`` of ``nested`` leads to in the record around it: a record, the manager of several, or None."""
    outer = nested.parent
    holder = outer.instance
    if not isinstance(holder, models.Model):
        holder = record_of(outer, _item_around(nested, item))
    try:
        return get_attribute(holder, nested.source_attrs)
    except (AttributeError, KeyError):
        return None


def _item_around(nested: Any, item: Any) -> Any:
    """The part of the request's data in which ``nested`` has found ``item``: that very object, not its like.

    Of an HTML form DRF makes new objects whenever it reads: there its like has to do, where there is only one.
    """
    around = _places(nested).get(_identity(item), [])
    return around[0] if len(around) == 1 else None


def _places(nested: Any) -> dict[Any, list[Any]]:
    """For each item that ``nested`` finds in the request's data, the parts that it lies in.

    Looked for once in a request, for whose data alone the serializer was made: there may be thousands of items.
    """
    data = getattr(nested.root, "initial_data", None)
    known = vars(nested).get(PLACES)
    if known is None or known[0] is not data:
        known = vars(nested)[PLACES] = (data, _search(nested))
    places: dict[Any, list[Any]] = known[1]
    return places


def _search(nested: Any) -> dict[Any, list[Any]]:
    places: dict[Any, list[Any]] = {}
    for outer in _read_by(nested.parent):
        found = nested.get_value(outer) if isinstance(outer, Mapping) else None
        items = found if isinstance(found, list) else [found]
        for identity in {_identity(one) for one in items}:
            places.setdefault(identity, []).append(outer)
    return places


def _identity(item: Any) -> Any:
    if is_html_input(item):
        return tuple(sorted((name, tuple(item.getlist(name))) for name in item))
    return id(item)  # the request's data keeps it from being given to another object


def _read_by(serializer: Any) -> Iterator[Any]:
    """Every part of the request's data that comes to ``serializer``."""
    parent = serializer.parent
    if parent is None:
        yield getattr(serializer, "initial_data", None)
        return
    for outer in _read_by(parent):
        if isinstance(parent, serializers.ListSerializer):
            items = parse_html_list(outer, default=[]) if is_html_input(outer) else outer
            yield from items if isinstance(items, list) else ()
        elif isinstance(outer, Mapping):
            yield serializer.get_value(outer)


def _member(records: Any, serializer: Any, item: Any) -> Any:
    """The one of ``records`` that ``item`` names by its primary key."""
    if isinstance(records, models.Manager):
        records = records.all()
    if records is None or not isinstance(item, Mapping):
        return None
    pk = _pk_in(item, serializer)
    if pk is None:
        return None
    if not isinstance(records, models.QuerySet) or _is_at_hand(records):
        return next((record for record in records if str(record.pk) == str(pk)), None)
    try:
        return find_record(records, pk)
    except UploadNotFound:
        return None


def _is_at_hand(records: models.QuerySet[Any]) -> bool:
    """Has it been fetched or prefetched, or cut to a page, which can't be filtered any more?"""
    return records._result_cache is not None or records.query.is_sliced


def _pk_in(item: Mapping[Any, Any], serializer: Any) -> Any:
    """The primary key in ``item``, under the name of the serializer's own field where it has one."""
    sources = _names_of_pk(getattr(getattr(serializer, "Meta", None), "model", None))
    names = [field.field_name for field in serializer.fields.values() if field.source in sources]
    found = next((item[name] for name in names or sources if item.get(name) not in (None, "")), None)
    return found if isinstance(found, str | int | UUID) and not isinstance(found, bool) else None


def _names_of_pk(model: type[models.Model] | None) -> list[str]:
    if model is None:
        return ["pk", "id"]
    names = ["pk"]
    pk: Any = model._meta.pk
    while pk is not None:
        names += [pk.name, pk.attname]
        pk = (
            pk.target_field if pk.is_relation else None
        )  # multi-table inheritance: the parent's is the child's
    return names
