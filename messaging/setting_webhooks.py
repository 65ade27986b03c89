"""Having a provider post to us, by its API, and believing only what it then shows."""

from collections.abc import Mapping

from messaging import calling, connecting
from messaging.providers import get as provider_of
from messaging.providers.base import Blame, Feature, SendError, WebhookState
from tenants.accounts.models import User
from tenants.models import ProviderInstance


def set_up(
    instance: ProviderInstance, *, by: User | None = None, by_platform: bool = False
) -> WebhookState:
    """Have the instance's provider post to our address; what it keeps, read back.

    With `by_platform` the platform's own credentials serve where the instance has none; they are
    never stored with it, and never lent to a tenant. What the provider shows of the instance's
    own values is stored. Raises `SendError`: `not_supported` where people must paste the address,
    `webhook_not_kept` where the provider said yes and kept something else.
    """
    adapter = provider_of(instance.provider)
    if Feature.SETS_WEBHOOK not in adapter.supports:
        raise SendError("not_supported", blame=Blame.MESSAGE)
    via = calling.open_via(instance, by_platform=by_platform)
    with via.http:
        kept = adapter.configure_webhook(via, connecting.webhook_url(instance))
    _store(instance, kept.values, by)
    return kept


def _store(instance: ProviderInstance, shown: Mapping[str, str], by: User | None) -> None:
    has = {**instance.settings, **instance.secrets}
    news = {name: value for name, value in shown.items() if has.get(name) != value}
    if news:
        connecting.connect_instance(
            instance.tenant,
            instance.provider,
            address=instance.address,
            values=news,
            by=by,
            # What is still missing was missing before.
            may_lack=[field.name for field in provider_of(instance.provider).fields],
        )
