"""A real mail server for tests, on this machine, with a fate for each recipient.

It speaks STARTTLS or TLS with a certificate of its own, asks for a user name and password, and
keeps what it took.
"""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "contact@shop.example", "password-of-the-shop"
HOST = "localhost"

# What RCPT TO answers these, by the part of the address before the @.
RECIPIENTS = {
    "closing": "421 4.3.2 Service closing",
    "grey": "450 4.2.0 Greylisted, come back later",
    "nobody": "550 5.1.1 User unknown",
    "policy": "550 5.7.1 Refused by policy",
    "full": "552 5.2.2 Mailbox full",
}
# What the whole mail is answered with.
MAILS = {
    "large": "552 5.3.4 Message too big",
    "spam": "554 5.7.1 This looks like spam",
    "later": "451 4.3.0 Try again later",
}
CUT = "cut"
"""After a mail to this recipient was taken, the line is cut instead of an answer."""


class Handler:
    """Takes mails, by the fate of their recipients."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.logins: list[str] = []

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        fate = RECIPIENTS.get(address.partition("@")[0])
        if fate:
            return fate
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        name = envelope.rcpt_tos[0].partition("@")[0]
        if name in MAILS:
            return MAILS[name]
        self.mails.append(envelope.content)
        if name == CUT:
            server.transport.abort()
        return "250 2.0.0 OK"

    def authenticate(self, server, session, envelope, mechanism, data):
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False)
        self.logins.append(data.login.decode())
        right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)


class MailServer(Controller):
    """The server; `security` as in an instance's settings."""

    def __init__(self, port: int, security: str, certificate: ssl.SSLContext) -> None:
        self.taken = Handler()
        self._security, self._certificate = security, certificate
        more = {"ssl_context": certificate} if security == "tls" else {}
        super().__init__(self.taken, hostname="127.0.0.1", port=port, **more)

    def factory(self) -> SMTP:
        starttls = self._security == "starttls"
        return SMTP(
            self.handler,
            tls_context=self._certificate if starttls else None,
            require_starttls=starttls,
            auth_require_tls=starttls,
            auth_required=starttls,
            authenticator=self.taken.authenticate,
            hostname="mail.test",
        )


def make_certificate(folder: Path, name: str = HOST) -> tuple[ssl.SSLContext, Path]:
    """A server's certificate for this name, and the file by which clients may trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, private = folder / "mail.crt", folder / "mail.key"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, private)
    return context, trusted
