"""System checks of the two kinds of schema."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import Error, Tags, register
from django.db.models import Field, Model


@register(Tags.models)
def no_key_crosses_schemas(app_configs: Any = None, **kwargs: Any) -> list[Error]:
    """Refuse a tenant model's foreign key to a model that lives in `public` only."""
    return [
        Error(
            f"{field} leads from a tenant's schema to {field.related_model._meta.label} in public.",
            hint="Store the id in a BigIntegerField, and look it up through `tenants`.",
            obj=field,
            id="tenants.E001",
        )
        for model in apps.get_models(include_auto_created=True)
        if _lives_in_tenants(model)
        for field in _keys(model)
        if not _lives_in_tenants(field.related_model)
    ]


def _keys(model: type[Model]) -> Iterator[Field]:
    for field in (*model._meta.local_fields, *model._meta.local_many_to_many):
        if field.remote_field:
            yield field


def _lives_in_tenants(model: type[Model]) -> bool:
    return apps.get_app_config(model._meta.app_label).name in settings.TENANT_APPS
