"""The list endpoint of the plan that this project grew from, as it was drafted: Django, django-ninja, PostgreSQL.

Only the sign-in is left out: the viewer is the number in the header x-user.
"""

import os
from datetime import datetime

import django
from django.conf import settings
from django.http import HttpRequest
from psycopg.conninfo import conninfo_to_dict

_database = conninfo_to_dict(os.environ["PEERS_DATABASE_URL"])

settings.configure(
    SECRET_KEY="x" * 50,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["ninja"],
    MIDDLEWARE=[],
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _database["dbname"],
            "USER": _database.get("user", ""),
            "PASSWORD": _database.get("password", ""),
            "HOST": _database.get("host", ""),
            "PORT": _database.get("port", ""),
            "CONN_MAX_AGE": None,
        }
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 - Django's parts want the settings first
from django.db import models  # noqa: E402
from django.db.models import Q  # noqa: E402
from django.urls import path  # noqa: E402
from ninja import NinjaAPI, Query, Schema  # noqa: E402


class TikTokAccount(models.Model):
    id = models.BigAutoField(primary_key=True)
    user_id = models.BigIntegerField()
    username = models.TextField()
    display_name = models.TextField()
    avatar_url = models.TextField(null=True)  # noqa: DJ001 - as it was drafted
    status = models.TextField()
    follower_count = models.BigIntegerField()
    following_count = models.BigIntegerField()
    video_count = models.BigIntegerField()
    last_synced_at = models.DateTimeField(null=True)
    is_deleted = models.BooleanField()
    created_at = models.DateTimeField()

    class Meta:
        app_label, db_table, managed = "peers", "tiktok_account", False

    def __str__(self) -> str:
        return self.username


class AccountOut(Schema):
    id: int
    username: str
    display_name: str
    avatar_url: str | None
    status: str
    follower_count: int
    following_count: int
    video_count: int
    last_synced_at: datetime | None
    created_at: datetime


class AccountListOut(Schema):
    items: list[AccountOut]
    total: int
    cursor: str | None = None
    has_more: bool = False


api = NinjaAPI()


@api.get("/accounts/", response=AccountListOut)
def list_accounts(
    request: HttpRequest,
    cursor: str | None = None,
    limit: int = Query(20, le=50),
    status: str | None = None,
    search: str | None = None,
) -> AccountListOut:
    accounts = TikTokAccount.objects.filter(user_id=int(request.headers["x-user"]), is_deleted=False)
    if status:
        accounts = accounts.filter(status=status)
    if search:
        accounts = accounts.filter(Q(username__icontains=search) | Q(display_name__icontains=search))
    accounts = accounts.order_by("-created_at")
    if cursor:
        accounts = accounts.filter(id__lt=cursor)
    items = list(accounts[: limit + 1])
    has_more = len(items) > limit
    items = items[:limit]
    return AccountListOut(
        items=items, total=accounts.count(), cursor=str(items[-1].id) if has_more else None, has_more=has_more
    )


urlpatterns = [path("", api.urls)]
application = get_wsgi_application()
