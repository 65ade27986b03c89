"""The keys in password reset links."""

from allauth.account.forms import EmailAwarePasswordResetTokenGenerator

from tenants import context


class PasswordResetTokens(EmailAwarePasswordResetTokenGenerator):
    """Keys that work at one tenant only, and end with every other sign-in of the person."""

    def _make_hash_value(self, user, timestamp) -> str:
        bound = super()._make_hash_value(user, timestamp)
        return f"{bound}|{context.bound_to()}|{user.token_version}"
