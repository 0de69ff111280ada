"""The calls that list, create, change and delete users."""

import copy
import re
import threading

from .answers import (Answer, ServerFault, email_taken, known_error,
                      schema_error)
from .config import is_all_new
from .credentials import BCRYPT, Bcrypt
from .endpoints import Endpoints, check_body, check_query
from .schemas import CREATE_USER, LIST_USERS, NOTHING, UPDATE_USER
from .users import (PLAIN_FIELDS, list_order, new_account, new_channel,
                    new_user, primary_channel, user_view)
from .values import normal_email


def like_regex(query):
    """The pattern of a case-insensitive LIKE '%query%'."""
    parts = []
    escaped = False
    for char in query:
        if escaped or char not in "\\%_":
            parts.append(re.escape(char))
            escaped = False
        elif char == "\\":
            escaped = True
        else:
            parts.append(".*" if char == "%" else ".")
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)


# Longest list without a limit, in the new contract.
MAX_UNPAGED = 1000


class UserEndpoints(Endpoints):
    """/users"""

    def __init__(self, config, store, pause):
        super().__init__(config, store, pause)
        self.contract = config["contract"]
        self.thread = threading.Lock()

    def take_time(self):
        """The real server has one thread for all requests."""
        if self.config["busy_seconds"]:
            with self.thread:
                self.pause(self.config["busy_seconds"])

    def list_users(self, request):
        want = check_query(request, LIST_USERS[self.contract])
        anonymous = want.get("include_anonymous") == "true"
        restricted = anonymous or want.get("include_restricted") == "true"
        only = want.get("only_anonymous") == "true"
        if only and not anonymous:
            raise schema_error(request, [
                "query.only_anonymous needs include_anonymous=true"])
        if "team_id" in want:       # the stand-in has no teams
            raise known_error(404, "TEAM_NOT_FOUND", "Team not found.")
        backwards = want.get("desc") == "true"
        with self.store.lock:
            users = [user for user in self.store.users.values()
                     if user["project_id"] == request.project["id"]]
        order = list_order
        if want.get("order_by") == "last_active_at":
            def order(user):
                return user["last_active_at_millis"], user["id"]
        users.sort(key=order, reverse=backwards)
        if "cursor" in want:
            users = self.from_cursor(users, want["cursor"].lower())
        excluded = want.get("excluded_email_domains", "").lower().split(",")
        pattern = like_regex(want.get("query", ""))
        items = []
        for user in users:
            view = self.view(user, request.project)
            domain = (view["primary_email"] or "").rpartition("@")[2]
            if (view["is_anonymous"] and not anonymous
                    or domain and domain in excluded
                    or view["is_restricted"] and not restricted
                    or only and not view["is_anonymous"]
                    or not self.found_by(user, want.get("query"), pattern)):
                continue
            items.append(view)
        limit = want.get("limit", len(items))
        cursor = None
        if self.contract == "hexclave":
            if "limit" not in want and limit > MAX_UNPAGED:
                raise Answer(400, "More than %d users match: set limit"
                             % MAX_UNPAGED)
            if len(items) > limit:
                cursor = items[limit - 1]["id"]
        elif len(items) > limit:
            cursor = items[limit]["id"]
        return 200, {"items": items[:limit], "is_paginated": True,
                     "pagination": {"next_cursor": cursor}}

    def view(self, user, project):
        return user_view(user, project, is_all_new(self.config))

    def from_cursor(self, users, cursor):
        """The cursor's user is the first of the page, or in the new contract
        the last of the page before; without it, the page is empty and nobody
        is told."""
        skip = 1 if self.contract == "hexclave" else 0
        for index, user in enumerate(users):
            if user["id"] == cursor:
                return users[index + skip:]
        return []

    @staticmethod
    def found_by(user, query, pattern):
        if not query or user["id"] == query.lower():
            return True
        texts = [channel["value"] for channel in user["contact_channels"]]
        texts.append(user["display_name"] or "")
        return any(pattern.search(text) for text in texts)

    def create_user(self, request):
        self.take_time()
        body = check_body(request, CREATE_USER, copies=2)
        user = new_user(request.project)
        self.apply_common(request, user, body)
        for item in body.get("oauth_providers", []):
            if item["id"] not in request.project["enabled_oauth_providers"]:
                raise Answer(400, "OAuth provider %s not found" % item["id"])
            user["oauth_providers"].append(new_account(
                item["id"], item["account_id"], item.get("email")))
        with self.store.lock:
            self.apply_email(request, user, body)
            # Stored, but without the switch that makes sign-in ask for it.
            user["totp_secret_base64"] = body.get("totp_secret_base64")
            collides = self.oauth_collision(user)
            if not collides:
                self.put_storable(user)
        if collides:
            self.pause(self.config["oauth_collision_seconds"])
            raise ServerFault("OAuth account in use")
        return 201, self.view(user, request.project)

    def oauth_collision(self, user):
        accounts = self.store.oauth_accounts
        providers = [account["provider_config_id"]
                     for account in user["oauth_providers"]]
        return len(set(providers)) < len(providers) or any(
            (user["project_id"], account["provider_config_id"],
             account["account_id"]) in accounts
            for account in user["oauth_providers"])

    def get_user(self, request, user_id):
        check_query(request, NOTHING)
        return 200, self.view(self.user(request, user_id), request.project)

    def get_me(self, request):
        """Whoever has signed in, by the token that this gave."""
        check_query(request, NOTHING)
        token = request.headers.get("x-stack-access-token", "")
        with self.store.lock:
            user = self.store.users.get(self.store.tokens.get(token))
        if user is None:
            raise known_error(401, "UNPARSABLE_ACCESS_TOKEN",
                              "The access token is not valid.")
        view = self.view(user, request.project)
        if view["is_restricted"] and not request.headers.get(
                "x-stack-allow-restricted-user"):
            raise known_error(
                403, "RESTRICTED_USER_NOT_ALLOWED",
                "The user in the access token is in restricted state. "
                "Reason: %s. Please pass the X-Stack-Allow-Restricted-User "
                "header if this is intended."
                % view["restricted_reason"]["type"],
                {"restricted_reason": view["restricted_reason"]})
        return 200, view

    def update_user(self, request, user_id):
        body = check_body(request, UPDATE_USER)
        with self.store.lock:
            user = copy.deepcopy(self.user(request, user_id))
            if body.get("selected_team_id"):
                raise known_error(404, "TEAM_NOT_FOUND", "Team not found.")
            self.apply_common(request, user, body)
            self.apply_email(request, user, body)
            if "totp_secret_base64" in body:
                user["totp_secret_base64"] = body["totp_secret_base64"]
                user["requires_totp_mfa"] = (
                    body["totp_secret_base64"] is not None)
            if "password_hash" in body and not primary_channel(user):
                raise ServerFault("password without e-mail")
            self.put_storable(user)
        return 200, self.view(user, request.project)

    def apply_common(self, request, user, body):
        """Puts into user what create and update treat alike; what the body
        leaves out stays.  Metadata is replaced as a whole."""
        reasons = ("restricted_by_admin_reason",
                   "restricted_by_admin_private_details")
        if not body.get("restricted_by_admin", user["restricted_by_admin"]):
            if any(body.get(name) is not None for name in reasons):
                raise schema_error(request, [
                    "body.%s must be null unless restricted_by_admin is true"
                    % name for name in reasons if body.get(name) is not None])
            user.update(dict.fromkeys(reasons))
        for name in PLAIN_FIELDS:
            if name in body:
                user[name] = body[name]
        user["display_name"] = user["display_name"] or None
        if user["country_code"]:
            user["country_code"] = user["country_code"].upper()
        if (body.get("otp_auth_enabled")
                and not request.project["magic_link_enabled"]):
            raise Answer(400, "OTP auth not enabled in the project")
        self.check_image(body.get("profile_image_url"))
        self.apply_password(request, user, body)

    @staticmethod
    def check_image(url):
        if url is None or re.match("https?://", url):
            return
        if re.match("data:image/(jpeg|png|webp);base64,", url):
            raise ServerFault("no S3 to store the image in")
        raise Answer(400, "Invalid profile image URL")

    @staticmethod
    def apply_password(request, user, body):
        password = body.get("password")
        if password is not None and "password_hash" in body:
            raise Answer(400, "Cannot set both password and password_hash "
                         "at the same time.")
        if password is not None or "password_hash" in body:
            if not request.project["credential_enabled"]:
                raise Answer(400, "Password auth not enabled in the project")
        if "password_hash" in body:
            if not Bcrypt.VALID.fullmatch(body["password_hash"]):
                raise Answer(400, "Invalid password hash. Make sure it's a "
                             "supported algorithm in Modular Crypt Format.")
            user["password_hash"] = body["password_hash"]
        elif "password" in body:
            user["password_hash"] = (None if password is None
                                     else BCRYPT.hash(password))

    def apply_email(self, request, user, body):
        """Sets the primary channel.  The store is locked: an e-mail that is
        free here is still free when the user is put."""
        if "primary_email" in body:
            self.choose_primary(user, body["primary_email"])
        channel = primary_channel(user)
        for field, key in (("primary_email_auth_enabled", "used_for_auth"),
                           ("primary_email_verified", "is_verified")):
            if body.get(field) and channel is None:
                raise Answer(400, "%s cannot be true without primary_email"
                             % field)
            if field in body and channel:
                channel[key] = body[field]
        if channel and channel["used_for_auth"] and self.email_taken(
                request.project, channel["value"], user):
            email = channel["value"]
            if self.contract == "hexclave":
                raise email_taken(email)
            raise known_error(
                409, "USER_EMAIL_ALREADY_EXISTS",
                "A user with email \"%s\" already exists." % email,
                {"email": email, "would_work_if_email_was_verified": False})

    @staticmethod
    def choose_primary(user, email):
        """Makes email, or none, the primary one; a former one stays as an
        additional channel."""
        email = None if email is None else normal_email(email)
        for channel in user["contact_channels"]:
            channel["is_primary"] = channel["value"] == email
        if email is not None and primary_channel(user) is None:
            channel = new_channel(email)
            channel["is_primary"] = True
            user["contact_channels"].append(channel)

    def delete_user(self, request, user_id):
        check_query(request, NOTHING)
        self.take_time()
        with self.store.lock:
            self.store.delete(self.user(request, user_id)["id"])
        return 200, {"success": True}
