"""From a host or an X-Tenant header to the tenant."""

import pytest
from django.db import OperationalError
from django.test import Client

from tenants import context, directory
from tests.conftest import host_of


def test_unknown_host_is_not_found(db):
    response = Client(headers={"host": "nobody.localhost"}).get("/")

    assert response.status_code == 404


def test_unknown_tenant_is_not_found_in_the_shape_of_the_api(db):
    response = Client(headers={"host": "localhost", "x-tenant": "nobody"}).get("/api/leads/")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "tenant_unknown"


@pytest.mark.parametrize("slug", ["vendor_001", "VENDOR_001"])
def test_x_tenant_leads_to_the_tenant_without_case(tenant, slug):
    response = Client(headers={"host": "localhost", "x-tenant": slug}).get("/api/leads/")

    assert response.status_code == 401
    assert context.in_public()


def test_x_tenant_leaves_the_staffs_session_alone(tenant, staff, client_for):
    client = client_for(None, staff)

    client.get("/api/leads/", headers={"x-tenant": "vendor_001"})

    assert client.get("/admin/").status_code == 200


def test_database_away_is_said_as_503(tenant, monkeypatch):
    def away(host):
        raise OperationalError("gone")

    monkeypatch.setattr(directory, "tenant_of_host", away)
    client = Client(headers={"host": host_of(tenant)}, raise_request_exception=False)

    page, api = client.get("/"), client.get("/api/leads/")

    assert (page.status_code, page["Retry-After"]) == (503, "5")
    assert (api.status_code, api.json()["error"]["code"]) == (503, "database_away")
