"""The mail of a development run: kept in files, shown on a page."""

import pytest
from django.core.mail import EmailMultiAlternatives

from amda import mailbox


@pytest.fixture
def folder(settings, tmp_path):
    settings.MAILBOX_DIR = tmp_path / "mail"
    settings.EMAIL_BACKEND = mailbox.BACKEND
    settings.DEBUG = True
    return settings.MAILBOX_DIR


def send(subject, text="See http://localhost/key/1", page=""):
    mail = EmailMultiAlternatives(subject, text, to=["awa@shop.test"])
    if page:
        mail.attach_alternative(page, "text/html")
    return mail.send()


def test_mail_is_kept_and_shown_newest_first(folder, db, client_for):
    send("Prénom oublié")
    send("Second")

    listed = client_for(None).get("/mail/")

    assert [mail.subject for mail in listed.context["mails"]] == ["Second", "Prénom oublié"]
    assert {file.stat().st_mode & 0o777 for file in folder.glob("*.eml")} == {0o600}


def test_mail_is_shown_as_text_with_links_and_without_its_markup(folder, db, client_for):
    send("<b>Hello</b>", "See http://localhost/key/1 <script>alert(1)</script>", "<img src=x>")
    name = next(folder.glob("*.eml")).stem

    page = client_for(None).get(f"/mail/{name}/").content.decode()

    assert '<a href="http://localhost/key/1"' in page
    assert "&lt;b&gt;Hello" in page
    assert "<script>alert" not in page and "<img src=x>" not in page


@pytest.mark.parametrize(
    "name", ["nothing", "..%2F..%2Fdevelopment", "20260101T000000000000-aaaaaaaa"]
)
def test_mail_of_another_name_is_not_there(folder, db, client_for, name):
    send("One")

    assert client_for(None).get(f"/mail/{name}/").status_code == 404


def test_mail_page_exists_on_the_public_host_only(folder, tenant, owner, client_for):
    assert client_for(tenant, owner).get("/mail/").status_code == 404


@pytest.mark.parametrize(
    ("name", "value"),
    [("DEBUG", False), ("EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")],
)
def test_mail_page_exists_in_development_only(folder, db, client_for, settings, name, value):
    send("One")
    setattr(settings, name, value)

    assert client_for(None).get("/mail/").status_code == 404


def test_folder_keeps_the_newest_mails_only(folder, monkeypatch):
    monkeypatch.setattr(mailbox, "KEPT", 2)
    for subject in ("one", "two", "three"):
        send(subject)

    assert len(list(folder.iterdir())) == 2


def test_landing_page_opens_for_everybody(db, client_for):
    assert client_for(None).get("/").status_code == 200
