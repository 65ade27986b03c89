"""People who sign in: a tenant's team in its schema, platform staff in `public`."""

import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import connection, models, transaction
from django.db.models.functions import Lower
from django.dispatch import Signal
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants import context, limits
from tenants.accounts.trail import AuditEntry

__all__ = [
    "AuditEntry",
    "Invitation",
    "KnownSession",
    "RememberedWrite",
    "Role",
    "User",
    "person_removed",
    "rights_changed",
    "sign_ins_ended",
    "tell_rights_changed",
    "tell_sign_ins_ended",
]

PUBLIC = "public"


class Role(models.TextChoices):
    """What a person may do; the table of rights is `tenants.permissions`."""

    OWNER = "owner", _("owner")
    ADMIN = "admin", _("administrator")
    AGENT = "agent", _("agent")
    ASSISTANT = "assistant", _("assistant")
    STAFF = "staff", _("platform staff")


class ToldOf(models.TextChoices):
    """What a person wants to be told of while they look elsewhere."""

    ALL = "all", _("every message")
    MINE = "mine", _("messages in my conversations and in those nobody looks after")
    MENTIONS = "mentions", _("only notes that name me")


class UserManager(BaseUserManager):
    """Makes users; e-mail addresses are kept and compared in lower case."""

    def create_user(self, email: str, password: str | None = None, **facts) -> "User":
        """A user with this password; none means the password must be set by e-mail first.

        `LimitReached` where the tenant has no room for another one.
        """
        user = self.model(email=email.strip().lower(), **facts)
        user.set_password(password)
        with transaction.atomic():
            if user.is_active:
                self.require_room()
            user.save(using=self._db)
        return user

    def require_room(self, *, besides: int = 0) -> None:
        """Refuse one more active person, `besides` others to come, where there is no room."""
        if connection.schema_name != PUBLIC:
            limits.require_room(
                context.current_number(),
                limits.Kind.USERS,
                lambda: self.filter(is_active=True).count() + besides,
            )

    def recount(self) -> None:
        """Put the public count of the tenant's active people right."""
        if connection.schema_name != PUBLIC:
            active = self.filter(is_active=True).count()
            limits.set_used(context.current_number(), limits.Kind.USERS, active)

    def create_superuser(self, email: str, password: str | None = None, **facts) -> "User":
        """A member of the platform's staff; only `public` has any."""
        if connection.schema_name != PUBLIC:
            raise ValueError("Staff live in the public schema only.")
        return self.create_user(email, password, **{**facts, "role": Role.STAFF})

    def get_by_natural_key(self, username: str) -> "User":
        """The user with this e-mail address, however it is written."""
        return self.get(email__iexact=username)


class User(AbstractBaseUser):
    """A person of one tenant, or of the platform's staff where the schema is `public`.

    Rights come from the role: groups and content types live in `public` only.
    """

    email = models.EmailField(_("e-mail"), max_length=254)
    name = models.CharField(_("name"), max_length=150, blank=True)
    role = models.CharField(_("role"), max_length=20, choices=Role.choices, default=Role.AGENT)
    language = models.CharField(_("language"), max_length=5, blank=True)
    told_of = models.CharField(
        _("tell me of"), max_length=10, choices=ToldOf.choices, default=ToldOf.MINE
    )
    told_by_sound = models.BooleanField(_("with a sound"), default=True)
    told_on_desktop = models.BooleanField(_("with a notification of this device"), default=False)
    told_in_words = models.BooleanField(_("show what was said in it"), default=True)
    is_active = models.BooleanField(_("active"), default=True)
    removed_at = models.DateTimeField(null=True)
    token_version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: list[str] = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_without_case")]

    def __str__(self) -> str:
        return self.name or self.email

    def save(self, *args, **kwargs) -> None:
        """Keep it, and how many people are active where staff look without entering the tenant."""
        super().save(*args, **kwargs)
        changed = kwargs.get("update_fields")
        if changed is None or "is_active" in changed:
            User.objects.recount()

    def get_full_name(self) -> str:
        return str(self)

    @property
    def is_staff(self) -> bool:
        """May use the admin: staff, and only as seen from `public`."""
        return self.role == Role.STAFF and connection.schema_name == PUBLIC

    @property
    def is_superuser(self) -> bool:
        return self.is_staff

    def has_perm(self, perm: str, obj=None) -> bool:
        return self.is_active and self.is_staff

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active and self.is_staff

    def end_all_sign_ins(self) -> None:
        """Make every token and session of this person worthless, and close their open pages."""
        User.objects.filter(pk=self.pk).update(token_version=models.F("token_version") + 1)
        self.refresh_from_db(fields=["token_version"])
        KnownSession.objects.filter(user=self).delete()
        tell_sign_ins_ended(self.pk)


sign_ins_ended = Signal()
"""Some sign-ins of the person `user_id` have ended; sent after the commit, inside the schema."""


def tell_sign_ins_ended(user_id: int) -> None:
    """Tell whoever keeps something open for this person to look again, once this commits."""
    transaction.on_commit(lambda: sign_ins_ended.send(User, user_id=user_id))


person_removed = Signal()
"""The person `user_id` leaves the team: sent in the transaction that removes them."""

rights_changed = Signal()
"""What the person `user_id`, or anybody where it is None, may see has changed; sent likewise."""


def tell_rights_changed(user_id: int | None = None) -> None:
    """Have open pages hear what their person may now see, once this commits."""
    transaction.on_commit(lambda: rights_changed.send(User, user_id=user_id))


class KnownSession(models.Model):
    """A browser somebody is signed in with. The session carries this row's id: no row, no entry.

    Not the session's key, which changes with the password and opens everything.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="known_sessions")
    user_agent = models.CharField(max_length=300, blank=True)
    address = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return str(self.pk)


class Invitation(models.Model):
    """An e-mail address that may join the team with a role, until the link expires.

    `nonce` is in the link: sending the invitation again makes the former link worthless.
    """

    email = models.EmailField(_("e-mail"), max_length=254)
    role = models.CharField(_("role"), max_length=20, choices=Role.choices, default=Role.AGENT)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    nonce = models.CharField(max_length=32)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="one_open_invitation",
            )
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()


class RememberedWrite(models.Model):
    """The answer to a write that carried an Idempotency-Key, kept to be given again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="write_remembered_once")
        ]

    def __str__(self) -> str:
        return self.key
