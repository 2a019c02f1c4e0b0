"""Serializer fields for files: a key comes in, a key, a name and a URL go out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, Unpack

from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import models
from django.db.models.fields.files import FieldFile
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.fields import empty, get_attribute, get_error_detail
from rest_framework.metadata import SimpleMetadata
from rest_framework.settings import api_settings

from async_uploads import fields
from async_uploads.drf.addresses import file_address
from async_uploads.drf.browsable import widget_of
from async_uploads.drf.nesting import record_of, values_for
from async_uploads.drf.options import FieldOptions
from async_uploads.exceptions import UploadAlreadyUsed, UploadKeyError
from async_uploads.fields.validation import FileRules
from async_uploads.input import AsyncFileInputData, name_of
from async_uploads.owners import Owner, current_owner, owner_of_request
from async_uploads.promotion import record_pk_of
from async_uploads.storage.naming import shown_name
from async_uploads.uploads import check_submission

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class AsyncFileField(serializers.ModelField):
    """Takes ``{"key", "name", "width"?, "height"?}``, or the same as a JSON string; answers ``{"key", "name", "url"}``.

    ``null`` stands for no file, both ways. What is validated is AsyncFileInputData for a new upload, and the record's
    own FieldFile where its value comes back unchanged; validators get a FieldFile either way. ``model_field`` is found
    through ``source`` in a serializer that has a model.
    """

    default_error_messages: ClassVar[dict[str, StrOrPromise]] = {
        "empty": _("The submitted file is empty."),
        "invalid": _(
            'Expected {{"key", "name"}} of an upload. A file itself is not taken here: it is uploaded first.'
        ),
        "not_present": _(
            "This is no upload, and not the file that the record has now: it may have been replaced meanwhile."
        ),
    }

    model_field: Any

    def __init__(
        self,
        model_field: Any = None,
        *,
        allow_empty_file: bool = False,
        max_length: int | None = None,
        **options: Unpack[FieldOptions],
    ) -> None:
        options.setdefault("style", {"template": "async_uploads/drf/file_field.html"})
        # An upload is held against the rules of its field when it arrives.
        given = options.get("validators") or ()
        options["validators"] = [each for each in given if not isinstance(each, FileRules)]
        super().__init__(model_field, **options)
        self.max_length = max_length  # past ModelField, whose validator would measure the value
        self.allow_empty_file = allow_empty_file
        # Of the serializer that this copy of the field is bound to, as it reads one item after the other.
        self._item: Any = None
        # The data of its request, and how often each key is in it.
        self._submitted: tuple[Any, Counter[str]] | None = None

    def bind(self, field_name: str, parent: Any) -> None:
        super().bind(field_name, parent)
        if self.model_field is None and not hasattr(parent, "Meta"):
            raise TypeError(
                f"{field_name!r} needs model_field=… in {type(parent).__name__}, which has no model."
            )
        if self.model_field is None:
            self.model_field = _model_field_at(parent.Meta.model, self.source_attrs)
        if self.max_length is None:
            self.max_length = self.model_field.max_length
        if "allow_null" not in self._kwargs:  # type: ignore[attr-defined]  # set by Field.__new__
            self.allow_null: bool = self.model_field.null or self.model_field.blank

    ####################################
    # What comes in
    ####################################

    def get_value(self, dictionary: Mapping[Any, Any]) -> Any:
        self._item = dictionary
        return super().get_value(dictionary)

    def run_validation(self, data: Any = empty) -> Any:
        if isinstance(data, str) and data.strip() in ("", "null"):  # as the widget and HTML forms say it
            data = None
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> Any:
        try:
            return self._checked(self._parsed(data))
        except DjangoValidationError as error:
            raise serializers.ValidationError(get_error_detail(error)) from error

    def run_validators(self, value: Any) -> None:
        if not isinstance(value, AsyncFileInputData) or not self.validators:
            super().run_validators(value)
            return
        file = self.model_field.attr_class(
            self._record() or self.model_field.model(), self.model_field, value.key
        )
        try:
            super().run_validators(file)
        finally:
            file.close()

    def _checked(self, given: AsyncFileInputData) -> Any:
        record = self._record()
        if record is not None:
            current = getattr(record, self.model_field.attname)
            if given.key == name_of(current):
                return current
        if self.max_length is not None and len(given.key) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        if record is not None and not self.model_field.storage.is_temporary_path(given.key):
            raise serializers.ValidationError(self.error_messages["not_present"], code="not_found")
        record_pk = "" if record is None else record_pk_of(self.model_field, record)
        check_submission(
            self.model_field,
            given.key,
            owner=self._owner(),
            record_pk=record_pk,
            if_empty=None if self.allow_empty_file else self.error_messages["empty"],
        )
        if self._times_submitted(given.key) > 1:
            raise UploadAlreadyUsed()
        return given

    def _parsed(self, data: Any) -> AsyncFileInputData:
        try:
            return _parsed(data)
        except DjangoValidationError as error:
            if error.code == "invalid":
                self.fail("invalid")
            raise

    def _times_submitted(self, key: str) -> int:
        """In how many records of a list does the request have it? Counted once, for there may be thousands."""
        data = getattr(self.root, "initial_data", None)
        if self._submitted is None or self._submitted[0] is not data:
            self._submitted = (data, Counter(_keys_in(values_for(self))))
        return self._submitted[1][key]

    def _record(self) -> Any:
        """The record whose column this is: the serializer's, or what ``source`` leads to from there."""
        record = record_of(self.parent, self._item)
        with suppress(AttributeError, KeyError):  # broken off on the way
            record = get_attribute(record, self.source_attrs[:-1])
        return record if isinstance(record, self.model_field.model) else None

    def _owner(self) -> Owner | None:
        request = self.context.get("request")
        return current_owner() if request is None else owner_of_request(request)

    ####################################
    # What goes out
    ####################################

    def get_attribute(self, instance: Any) -> Any:
        """The file, and not the record as in ModelField; None where ``source`` leads past a relation that is empty."""
        holder = instance
        with suppress(AttributeError, KeyError):
            for name in self.source_attrs[:-1]:
                holder = get_attribute(holder, [name])
                if holder is None:
                    return None
        return serializers.Field.get_attribute(self, instance)

    def to_representation(self, value: Any) -> dict[str, str | None] | None:
        if isinstance(value, AsyncFileInputData):  # validated, not saved
            shown = value.name or shown_name(value.key, self.model_field.storage)
            return {"key": value.key, "name": shown, "url": None}
        name = name_of(value)
        if not name:
            return None
        url = file_address(value, self.context.get("request")) if isinstance(value, FieldFile) else None
        return {"key": name, "name": shown_name(name, self.model_field.storage), "url": url}

    @property
    def widget(self) -> dict[str, Any] | None:
        """For the forms of the browsable API."""
        return widget_of(self, self._record())

    # adrf looks for these two, and would go to a thread for each file without them.

    async def aget_attribute(self, instance: Any) -> Any:
        if isinstance(instance, models.Model) and self.source in instance.__dict__:
            return self.get_attribute(instance)
        return await sync_to_async(self.get_attribute)(instance)

    async def ato_representation(self, value: Any) -> dict[str, str | None] | None:
        return self.to_representation(value)


class AsyncImageField(AsyncFileField):
    """As AsyncFileField, for images."""


FieldMapping: TypeAlias = "dict[type[models.Field[Any, Any]], type[serializers.Field[Any, Any, Any, Any]]]"

FIELD_MAPPING: FieldMapping = {
    fields.AsyncFileField: AsyncFileField,
    fields.AsyncImageField: AsyncImageField,
}
"""For ``serializer_field_mapping``: ``{**serializers.ModelSerializer.serializer_field_mapping, **FIELD_MAPPING}``."""


# What OPTIONS answers for them, as for DRF's own.
SimpleMetadata.label_lookup[AsyncFileField] = "file upload"
SimpleMetadata.label_lookup[AsyncImageField] = "image upload"


# A ModelSerializer that knows the async file fields. What only the save can find, such as a key that somebody else was
# quicker to use, is an error of the serializer. (A comment: drf-spectacular would describe with a docstring
# every serializer that inherits from it.)
class AsyncUploadsModelSerializer(serializers.ModelSerializer[Any]):
    serializer_field_mapping: ClassVar[FieldMapping] = {
        **serializers.ModelSerializer.serializer_field_mapping,
        **FIELD_MAPPING,
    }

    def save(self, **kwargs: Any) -> Any:
        with key_errors_told(self.validated_data):
            return super().save(**kwargs)

    def create(self, validated_data: Any) -> Any:
        with key_errors_told(validated_data):
            return super().create(validated_data)

    def update(self, instance: Any, validated_data: Any) -> Any:
        with key_errors_told(validated_data):
            return super().update(instance, validated_data)


@contextmanager
def key_errors_told(validated_data: Mapping[str, Any]) -> Iterator[None]:
    """Turn the UploadKeyError of a save into DRF's ValidationError, told at the field where there is only one."""
    names = [name for name, value in validated_data.items() if isinstance(value, AsyncFileInputData)]
    try:
        yield
    except UploadKeyError as error:
        where = names[0] if len(names) == 1 else api_settings.NON_FIELD_ERRORS_KEY
        raise serializers.ValidationError({where: get_error_detail(error)}) from error


def _parsed(data: Any) -> AsyncFileInputData:
    if isinstance(data, AsyncFileInputData):
        return data
    if isinstance(data, str):
        return AsyncFileInputData.from_json(data)
    return AsyncFileInputData.from_user_input(data)


def _keys_in(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        with suppress(DjangoValidationError):
            yield _parsed(value).key


def _model_field_at(model: type[models.Model], path: list[str]) -> Any:
    """The field that ``path`` leads to from ``model``, through its relations."""
    for name in path[:-1]:
        model = model._meta.get_field(name).related_model  # type: ignore[assignment]  # a relation, else nothing works
    return model._meta.get_field(path[-1])
