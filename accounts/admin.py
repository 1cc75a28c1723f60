"""The admin of accounts. As everywhere, changes that end sessions or tokens go through the services."""

from collections.abc import Iterable

from django import forms
from django.contrib import admin
from django.contrib.auth import logout
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.forms import NewUserForm, OperatorPasswordForm, UserForm
from accounts.models import PasswordReset, SecondFactor, Session, User
from accounts.services import deletion, sessions, users
from utils.admin import ReadOnlyAdmin
from utils.http.client_address import client_address
from utils.monitoring import audit

# Staff have all permissions, so groups are not used.
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    form = UserForm
    add_form = NewUserForm
    change_password_form = OperatorPasswordForm
    fieldsets = [
        (None, {"fields": ["email", "name", "password"]}),
        ("Access", {"fields": ["is_active", "is_staff"]}),
        ("Facts", {"fields": ["id", "date_joined", "token_version"]}),
    ]
    add_fieldsets = [
        (
            None,
            {"classes": ["wide"], "fields": ["email", "name", "is_staff", "usable_password", "password1", "password2"]},
        )
    ]
    readonly_fields = ["id", "date_joined", "token_version"]
    list_display = ["email", "name", "is_active", "is_staff", "date_joined"]
    list_filter = ["is_active", "is_staff"]
    search_fields = ["email__startswith", "name__icontains"]
    ordering = ["-id"]
    filter_horizontal = []
    show_full_result_count = False

    def save_model(self, request: HttpRequest, obj: User, form: forms.ModelForm, change: bool) -> None:
        if not change:
            super().save_model(request, obj, form, change)
            return
        users.change_account(
            user_id=obj.pk, email=obj.email, name=obj.name, is_active=obj.is_active, is_staff=obj.is_staff
        )

    def get_deleted_objects(self, objs: Iterable[User], request: HttpRequest) -> tuple[list[str], dict, set, list]:
        # Django's method would load and list every related row.
        descriptions = [f"{user}, with all their data" for user in objs]
        return descriptions, {User._meta.verbose_name_plural: len(descriptions)}, set(), []

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        self._delete(request, [obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._delete(request, list(queryset.values_list("pk", flat=True)))

    @staticmethod
    def _delete(request: HttpRequest, user_ids: list[int]) -> None:
        if request.user.pk in user_ids:
            logout(request)  # the session is deleted with its user, and could not be saved after this request
        for user_id in user_ids:
            deletion.delete_account(user_id=user_id)


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = ["id", "user", "user_agent", "ip", "created_at", "rotated_at", "expires_at", "revoked_at"]
    list_select_related = ["user"]
    search_fields = ["user__email__startswith"]
    actions = ["revoke"]

    @admin.action(description="Revoke the selected sessions", permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        revoked = 0
        for session_id, user_id in list(queryset.values_list("pk", "user_id")):
            if sessions.revoke(session_id=session_id, user_id=user_id):
                audit.record("session_revoked", "by_operator", user_id=user_id, address=client_address(request))
                revoked += 1
        self.message_user(request, f"{revoked} sessions were revoked.")


@admin.register(SecondFactor)
class SecondFactorAdmin(ReadOnlyAdmin):
    long_columns = ("seed", "recovery_codes")
    list_display = ["id", "user", "enrolled_at"]
    list_select_related = ["user"]
    search_fields = ["user__email__startswith"]
    exclude = ["seed", "recovery_codes"]


@admin.register(PasswordReset)
class PasswordResetAdmin(ReadOnlyAdmin):
    list_display = ["id", "user", "created_at", "claimed_until", "mailed_at", "used_at"]
    list_select_related = ["user"]
