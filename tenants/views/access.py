"""Who may open a page of a tenant's, and that no cache keeps it."""

from functools import wraps

from django.utils.cache import patch_cache_control

from tenants.permissions import Action, needs


def tenant_page(action: Action):
    """For every page of a tenant's: the right, nothing kept in caches."""

    def decorate(view):
        guarded = needs(action)(view)

        @wraps(view)
        def shown(request, *args, **kwargs):
            response = guarded(request, *args, **kwargs)
            patch_cache_control(response, no_store=True, private=True)
            return response

        vars(shown)["action"] = action
        return shown

    return decorate
