"""E-mails from end to end: our way out, a real mail server, and the reader's way out of it."""

import re
from email import message_from_bytes, policy
from urllib.parse import urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from messaging import connecting, delivering, media, outbox
from messaging.models import LeadIdentity, Message
from tenants import context
from tenants.models import ProviderInstance
from tenants.onboarding import OnboardingError
from tests import factories
from tests.fakes import mail as fake
from tests.messaging.files import picture
from tests.messaging.test_api import Caller
from tests.ports import free_port

AWA = "awa@example.org"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return fake.make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def start_server(certificate, monkeypatch):
    """Start a mail server; its certificate is trusted as one of the system's is."""
    context_of_server, trusted = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    started = []

    def start(security: str) -> fake.MailServer:
        server = fake.MailServer(free_port(), security, context_of_server)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def server(start_server):
    return start_server("starttls")


def connect(tenant, server, **values) -> ProviderInstance:
    given = {
        "host": fake.HOST,
        "port": str(server.port),
        "user": fake.USER,
        "password": fake.PASSWORD,
        "from_email": f"Chez Awa <{fake.USER}>",
        **values,
    }
    return connecting.connect_instance(tenant, "smtp", address="", values=given)


@pytest.fixture
def shop(tenant, server) -> ProviderInstance:
    return connect(tenant, server)


def sent(tenant, shop, text="Bonjour", to=AWA, origin="person", **facts) -> Message:
    """A message after the worker was at it."""
    with context.entered(tenant):
        message = outbox.start(to, text, origin=origin, instance_id=shop.pk, **facts)
    return again(tenant, shop, message)


def again(tenant, shop, message) -> Message:
    with context.entered(tenant):
        Message.objects.filter(pk=message.pk).update(not_before=None)
        delivering.drain(tenant.number, shop.pk)
        message.refresh_from_db()
    return message


def mails(server):
    return [message_from_bytes(each, policy=policy.default) for each in server.taken.mails]


def plain_of(mail) -> str:
    return mail.get_body(("plain",)).get_content().replace("\r\n", "\n")


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
def test_a_mail_leaves_with_either_encryption(tenant, start_server, security):
    server = start_server(security)
    shop = connect(tenant, server, security=security)

    message = sent(tenant, shop, subject="Votre commande")

    assert (shop.address, connecting.probe(shop).state) == (fake.USER, "connected")
    assert (message.status, message.medium) == ("sent", "email")
    [mail] = mails(server)
    assert mail["Subject"] == "Votre commande"
    assert mail["From"] == f"Chez Awa <{fake.USER}>"
    assert mail["To"] == AWA
    assert mail["Message-ID"] == message.external_id == f"<{message.reference}@shop.example>"


def test_a_mail_has_text_and_html_that_say_the_same(tenant, shop, server):
    sent(tenant, shop, "Bonjour <Awa> & co\nhttps://shop.example/a?b=1&c=2.\n\nÀ bientôt")

    [mail] = mails(server)
    plain = plain_of(mail)
    html = mail.get_body(("html",)).get_content()
    assert plain.startswith("Bonjour <Awa> & co\nhttps://shop.example/a?b=1&c=2.\n\nÀ bientôt\n")
    assert "<p>Bonjour &lt;Awa&gt; &amp; co<br>" in html
    assert 'href="https://shop.example/a?b=1&amp;c=2">' in html
    assert '<html lang="fr">' in html
    assert mail["Subject"] == "Bonjour <Awa> & co"


def test_lines_that_begin_with_a_dot_arrive_whole(tenant, shop, server):
    sent(tenant, shop, "Un\n.\n..deux\n.trois")

    assert plain_of(mails(server)[0]).startswith("Un\n.\n..deux\n.trois")


def test_a_file_is_attached(tenant, shop, server, owner):
    with context.entered(tenant):
        conversation = sent(tenant, shop).conversation
    with context.entered(tenant):
        upload = SimpleUploadedFile("devis é.png", picture(), "image/png")
        file = media.take(upload, by=owner)
        message = outbox.queue(conversation, "Voici", origin="person", by=owner, files=[file])
    assert again(tenant, shop, message).status == "sent"

    [attachment] = list(mails(server)[-1].iter_attachments())
    assert (attachment.get_filename(), attachment.get_content_type()) == (
        "devis é.png",
        "image/png",
    )
    assert attachment.get_content() == picture()


def test_mails_under_one_subject_are_one_thread(tenant, shop, server):
    first = sent(tenant, shop, "Un", subject="Devis")
    second = sent(tenant, shop, "Deux")
    third = sent(tenant, shop, "Trois", subject="RE: devis")
    fourth = sent(tenant, shop, "Quatre", subject="Re: Devis")
    other = sent(tenant, shop, "Cinq", subject="Livraison")

    told = [(each["Subject"], each["In-Reply-To"], each["References"]) for each in mails(server)]
    ids = [message.external_id for message in (first, second, third, fourth)]
    assert told == [
        ("Devis", None, None),
        ("Re: Devis", ids[0], ids[0]),
        ("RE: devis", None, None),
        ("Re: Devis", ids[1], f"{ids[0]} {ids[1]}"),
        ("Livraison", None, None),
    ]
    assert other.subject == "Livraison"


def test_what_nobody_typed_says_so(tenant, shop, server):
    sent(tenant, shop, origin="campaign")
    sent(tenant, shop, origin="person")

    assert [each["Auto-Submitted"] for each in mails(server)] == ["auto-generated", None]


@pytest.mark.parametrize(
    ("name", "status", "code", "blame"),
    [
        ("closing", "queued", "421", "provider"),
        ("grey", "queued", "450", "provider"),
        ("nobody", "failed", "550", "recipient"),
        ("policy", "failed", "550", "message"),
        ("full", "failed", "552", "recipient"),
        ("large", "failed", "552", "message"),
        ("spam", "failed", "554", "message"),
        ("later", "queued", "451", "provider"),
        ("cut", "unknown", "no_answer_to_data", "provider"),
    ],
)
def test_each_answer_of_a_server_becomes_its_outcome(tenant, shop, name, status, code, blame):
    message = sent(tenant, shop, to=f"{name}@example.org")

    assert (message.status, message.error_code, message.error_blame) == (status, code, blame)
    assert fake.PASSWORD not in message.error_detail
    assert message.external_id == f"<{message.reference}@shop.example>"


def test_a_second_attempt_has_the_first_ones_message_id(tenant, shop, server, monkeypatch):
    monkeypatch.setitem(fake.MAILS, "awa", "451 4.3.0 later")
    message = sent(tenant, shop)
    before = message.external_id
    monkeypatch.delitem(fake.MAILS, "awa")

    assert again(tenant, shop, message).status == "sent"
    assert [each["Message-ID"] for each in mails(server)] == [before] == [message.external_id]


def test_a_mail_whose_answer_was_lost_is_not_sent_again(tenant, shop, server):
    message = sent(tenant, shop, to=f"{fake.CUT}@example.org")

    again(tenant, shop, message)

    assert (message.status, len(server.taken.mails)) == ("unknown", 1)


def test_a_wrong_password_is_the_accounts_and_is_told_at_once(tenant, server):
    shop = connect(tenant, server, password="wrong-password")

    probed = connecting.probe(shop)
    message = sent(tenant, shop)

    assert (probed.state, probed.state_reason) == ("disconnected", "535")
    assert (message.status, message.error_code, message.error_blame) == (
        "failed",
        "535",
        "account",
    )
    assert "wrong-password" not in message.error_detail


def test_a_server_that_offers_no_encryption_is_not_spoken_to(tenant, start_server):
    server = start_server("none")

    probed = connecting.probe(connect(tenant, server, security="starttls"))

    assert (probed.state, probed.state_reason) == ("disconnected", "no_starttls")
    assert server.taken.logins == []


def test_a_certificate_that_nobody_vouches_for_is_refused(tenant, server, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")

    probed = connecting.probe(connect(tenant, server))

    assert (probed.state, probed.state_reason) == ("disconnected", "bad_certificate")
    assert server.taken.logins == []


def test_private_servers_are_refused_when_named_and_when_looked_up(tenant, server, settings):
    shop = connect(tenant, server)
    settings.PRIVATE_API_HOSTS = []

    with pytest.raises(OnboardingError) as refused:
        connect(tenant, server, host="127.0.0.1")
    probed = connecting.probe(shop)

    assert refused.value.field == "host"
    assert (probed.state, probed.state_reason) == ("disconnected", "bad_host")


def test_without_encryption_only_this_machine_is_spoken_to(tenant, server, settings):
    shop = connect(tenant, server, host="mail.example.org", security="none")

    assert connecting.probe(shop).state_reason == "bad_host"


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("from_email", {"from_email": "Shop\r\nBcc: all@example.org <contact@shop.example>"}),
        ("reply_to", {"reply_to": "a@example.org\nX: y"}),
        ("user", {"user": "a\rb"}),
        ("port", {"port": "70000"}),
        ("port", {"port": "smtp"}),
        ("hourly_limit", {"hourly_limit": "0"}),
        ("reply_to", {"reply_to": "nobody"}),
        ("password", {"password": ""}),
        ("security", {"security": "ssl"}),
        ("from_email", {"from_email": "nobody"}),
    ],
)
def test_connecting_names_the_field_that_is_wrong(tenant, server, field, values):
    with pytest.raises(OnboardingError) as refused:
        connect(tenant, server, **values)

    assert refused.value.field == field


@pytest.mark.parametrize("subject", ["a\r\nBcc: all@example.org", "a\nb", "a\x00b", "\x1b"])
def test_a_subject_that_would_be_a_header_is_refused_by_name(tenant, shop, server, agent, subject):
    with context.entered(tenant), pytest.raises(outbox.Refused) as refused:
        outbox.start(AWA, "Bonjour", origin="api", instance_id=shop.pk, subject=subject)
    answer = Caller(tenant, agent).post(
        "/api/messages/", {"to": AWA, "text": "Bonjour", "subject": subject, "instance": shop.pk}
    )

    assert (refused.value.code, refused.value.field) == ("subject_invalid", "subject")
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "subject")
    assert server.taken.mails == []


def test_the_instance_that_reaches_an_address_is_chosen(tenant, shop, agent):
    caller = Caller(tenant, agent)

    mail = caller.post("/api/messages/", {"to": AWA, "text": "Bonjour", "subject": "Salut"})
    phone = caller.post("/api/messages/", {"to": "+221701112233", "text": "Bonjour"})
    wrong = caller.post(
        "/api/messages/", {"to": "+221701112233", "text": "Bonjour", "instance": shop.pk}
    )

    assert (mail.json()["medium"], mail.json()["subject"]) == ("email", "Salut")
    assert phone.json()["medium"] == "whatsapp"
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "recipient_unreachable")


def test_no_more_leave_in_an_hour_than_the_server_takes(tenant, server):
    shop = connect(tenant, server, hourly_limit="2")

    messages = [sent(tenant, shop, f"{number}") for number in range(3)]

    assert [message.status for message in messages] == ["sent", "sent", "queued"]
    assert len(server.taken.mails) == 2


# The way out


def way_out(server) -> str:
    header = mails(server)[-1]["List-Unsubscribe"]
    found = re.fullmatch(r"<(https?://.+)>", header)
    assert found, header
    return urlsplit(found[1]).path


def anybody(**headers) -> Client:
    return Client(headers={"host": "localhost", **headers}, enforce_csrf_checks=True)


def test_one_click_unsubscribes_and_nothing_more_leaves(tenant, shop, server):
    message = sent(tenant, shop)
    [mail] = mails(server)
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert way_out(server) in plain_of(mail)
    assert way_out(server) in mail.get_body(("html",)).get_content()

    answer = anybody().post(way_out(server), {"List-Unsubscribe": "One-Click"})

    assert answer.status_code == 200
    with context.entered(tenant):
        identity = LeadIdentity.objects.get(value=AWA)
        assert (identity.opted_out, identity.consent_changed_by) == (True, "link")
        with pytest.raises(outbox.Refused) as refused:
            outbox.queue(message.conversation, "Encore", origin="campaign")
    assert "unsubscribed" in str(refused.value.message) or "désabonné" in str(refused.value.message)


def test_looking_at_the_link_changes_nothing_and_asks(tenant, shop, server):
    sent(tenant, shop)

    page = anybody(**{"accept-language": "en"}).get(way_out(server))

    assert page.status_code == 200
    assert "Receive no more e-mails" in page.content.decode()
    with context.entered(tenant):
        assert not LeadIdentity.objects.get(value=AWA).opted_out


def test_who_unsubscribed_may_subscribe_again(tenant, shop, server):
    sent(tenant, shop)
    browser = anybody()
    page = browser.post(way_out(server))
    assert "Recevoir à nouveau" in page.content.decode()

    browser.post(way_out(server), {"again": "yes"})

    assert sent(tenant, shop).status == "sent"


def test_a_link_is_good_for_its_own_address_at_its_own_tenant(tenant, other_tenant, shop, server):
    sent(tenant, shop)
    path = way_out(server)

    anybody().post(path)

    with context.entered(other_tenant):
        assert not LeadIdentity.objects.filter(opted_out=True).exists()
    for forged in (path[:-2] + "/", path.replace("unsubscribe/", "unsubscribe/x")):
        assert anybody().post(forged).status_code == 404
    with context.entered(tenant):
        LeadIdentity.objects.filter(value=AWA).delete()
    assert anybody().get(path).status_code == 404


# The page


def test_the_composer_asks_for_a_subject_where_messages_have_one(
    tenant, shop, agent, client_for, server
):
    message = sent(tenant, shop, "Un", subject="Devis n° 7")
    browser = client_for(tenant, agent)
    path = f"/inbox/{message.conversation_id}"

    pane = browser.get(f"{path}/pane/").content.decode()
    answer = browser.post(f"{path}/send/", {"text": "Deux", "subject": "Autre chose"})
    refused = browser.post(f"{path}/send/", {"text": "Trois", "subject": "a\nb"})

    assert 'name="subject" form="composer" value="Re: Devis n° 7"' in pane
    assert answer.status_code == 302
    assert refused.status_code == 422
    with context.entered(tenant):
        subjects = Message.objects.filter(conversation=message.conversation_id).order_by("id")
        assert list(subjects.values_list("subject", flat=True)) == ["Devis n° 7", "Autre chose"]


def test_a_conversation_without_subjects_has_no_field_and_keeps_none(tenant, agent, client_for):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant)

    pane = client_for(tenant, agent).get(f"/inbox/{conversation.pk}/pane/").content.decode()
    with context.entered(tenant):
        message = outbox.queue(conversation, "Oui", origin="person", subject="Rien")

    assert "composer-subject" not in pane
    assert message.subject == ""
