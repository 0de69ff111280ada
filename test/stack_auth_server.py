#!/usr/bin/env python3
"""A stand-in for Stack Auth's REST API, for the demo and the tests.

Serves, on 127.0.0.1 and from the Python standard library alone, the part of
https://api.stack-auth.com that a migration of users touches: the current
project, users, contact channels, OAuth providers, password and TOTP sign-in,
sessions, and the sending of password resets.  It keeps the real server's
rules and its traps: unknown fields are refused, an e-mail is unique only when
it may be signed in with, an OAuth account in use ends in a slow opaque 500,
TOTP counts only when it was PATCHed, lists hide anonymous users, and so on.

test/t/070_stack_auth_server.pl replays the answers recorded from the real
server (test/fixtures/stack_auth) against this one, so that the two cannot
drift apart.  What no recording shows (most texts of validation errors, a few
codes) is worded here; clients should not depend on it.

A request's change is complete, and in the state file when there is one,
before its answer is sent.  /_test/... is for the tests:

    GET    /_test/users          every user with hash, TOTP secret, channels
    GET    /_test/requests       what was asked, and answered (?since=N)
    GET    /_test/counters       totals, fault counts, peak concurrency
    GET    /_test/mails          password resets sent
    GET|PUT|DELETE /_test/faults the list of fault rules
    PATCH  /_test/projects/{id}  change a project's settings
    POST   /_test/reset          forget users, mails, log and counters

A fault rule is an object; the first rule that fires decides:

    kind         429_retry_after, 429, 500_before_commit, 500_after_commit,
                 reset_before_commit, reset_after_commit, half_answer,
                 garbage_body, wrong_content_type, huge_answer, slow,
                 never_answer
    method, path regular expressions for the whole method and path
                 (default: any)
    skip         leave the first N matching requests alone
    first        then only the next N
    every        of those every Nth
    probability  of those a share, drawn from "seed": the nth matching
                 request has the same fate in every run
    seconds      for slow (default 1) and never_answer (default 3600)
    retry_after  for 429_retry_after, seconds (default 1)
    bytes        for huge_answer (default 200 MB)
    when         before or after the commit: slow (default before),
                 never_answer (default after)
"""

import argparse
import base64
import binascii
import collections
import copy
import ctypes
import functools
import hashlib
import hmac
import http.server
import json
import os
import random
import re
import secrets
import select
import signal
import socket
import sqlite3
import struct
import sys
import threading
import time
import traceback
import urllib.parse
import uuid

JSON_TYPE = "application/json; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"
MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_JSON_DEPTH = 499
MAX_SAFE_INTEGER = 2 ** 53
LOGGED_REQUESTS = 50000
# The alphabet of the real server's request ids and codes (Crockford base 32).
CODE_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

PROVIDERS = ["apple", "bitbucket", "discord", "facebook", "github", "gitlab",
             "google", "linkedin", "microsoft", "spotify", "twitch", "x"]

# What --config is merged into.  The keys are those of the recordings.
PROJECT_DEFAULTS = {
    "display_name": "ftmigrate",
    "server_key": None,
    "client_key": None,
    "admin_key": None,
    "branches": ["main"],
    "credential_enabled": True,
    "magic_link_enabled": True,
    "sign_up_enabled": True,
    "passkey_enabled": False,
    "client_team_creation_enabled": False,
    "client_user_deletion_enabled": False,
    "allow_user_api_keys": False,
    "allow_team_api_keys": False,
    "allow_localhost": False,
    "require_email_verification": False,
    "enabled_oauth_providers": PROVIDERS,
    "domains": [{"domain": "https://app.example.com",
                 "handler_path": "/handler"}],
}
DEFAULT_CONFIG = {
    # The real server tries a colliding insert four times, with pauses.
    "oauth_collision_seconds": 7.0,
    # How long a reset for an unknown e-mail takes, so as not to tell.
    "unknown_email_seconds": 2.5,
    "keep_alive_seconds": 5.0,
    "framing": "chunked",       # or "length": a Content-Length header
    "projects": {
        "11111111-1111-4111-8111-111111111111": {
            "display_name": "ftmigrate target",
            "server_key": "ssk_ftmigrate_target_local_only",
            "client_key": "pck_ftmigrate_target_local_only",
            "admin_key": "sak_ftmigrate_target_local_only",
        },
        "22222222-2222-4222-8222-222222222222": {
            "display_name": "ftmigrate strict",
            "server_key": "ssk_ftmigrate_strict_local_only",
            "client_key": "pck_ftmigrate_strict_local_only",
            "admin_key": "sak_ftmigrate_strict_local_only",
            "credential_enabled": False,
            "magic_link_enabled": False,
            "enabled_oauth_providers": [],
        },
    },
}


def random_code(length):
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(length))


def now_millis():
    return int(time.time() * 1000)


# ---------------------------------------------------------------- errors

class Answer(Exception):
    """An answer other than success.

    A str body is sent as text, anything else as JSON; None sends nothing,
    not even a content type."""

    def __init__(self, status, body, known_error=None):
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.known_error = known_error


class ServerFault(Exception):
    """What the real server answers with its opaque 500."""


def known_error(status, code, text, details=None):
    body = {"code": code, "error": text}
    if details:
        body["details"] = details
    return Answer(status, body, code)


def schema_error(request, messages):
    text = "Request validation failed on %s %s:\n%s" % (
        request.method, request.path,
        "\n".join("  - " + message for message in messages))
    return known_error(400, "SCHEMA_ERROR", text, {"message": text})


def user_not_found():
    return known_error(404, "USER_NOT_FOUND", "User not found.")


# ------------------------------------------------------------ validation

class Invalid(Exception):
    """A value does not fit its schema; args are the messages."""


def string(nullable=False, limit=None, check=None):
    """check: takes the string, returns what is wrong with it or None."""
    def validate(value, path):
        if value is None:
            return null_value(nullable, path)
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, (int, float)):
            value = json.dumps(value)
        if not isinstance(value, str):
            raise Invalid("%s must be a `string` type" % path)
        if limit is not None and utf16_length(value) > limit:
            raise Invalid("%s must be at most %d characters" % (path, limit))
        fault = check(value) if check else None
        if fault:
            raise Invalid("%s %s" % (path, fault))
        return value
    return validate


def null_value(nullable, path):
    if not nullable:
        raise Invalid("%s cannot be null" % path)
    return None


def utf16_length(text):
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def matches(pattern, fault):
    regex = re.compile(pattern)
    return lambda value: None if regex.fullmatch(value) else fault


def boolean(only=None):
    def validate(value, path):
        words = {"true": True, "1": True, "false": False, "0": False}
        if isinstance(value, str):
            value = words.get(value.lower())
        if not isinstance(value, bool) or only not in (None, value):
            raise Invalid("%s must be a `boolean` type" % path)
        return value
    return validate


def integer(low, high=None):
    def validate(value, path):
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Invalid("%s must be an integer" % path)
        if value < low or (high is not None and value > high):
            raise Invalid("%s is out of range" % path)
        return value
    return validate


def anything(value, _path):
    return value


def list_of(item):
    def validate(value, path):
        if not isinstance(value, list):
            raise Invalid("%s must be an array" % path)
        return [item(element, "%s[%d]" % (path, index))
                for index, element in enumerate(value)]
    return validate


def record(fields, required=(), nullable=False):
    """An object with no other keys than fields."""
    def validate(value, path):
        if value is None:
            return null_value(nullable, path)
        if not isinstance(value, dict):
            raise Invalid("%s must be an object" % path)
        messages = []
        unknown = [key for key in value if key not in fields]
        if unknown:
            messages.append("%s contains unknown properties: %s"
                            % (path, ", ".join(unknown)))
        messages += ["%s.%s must be defined" % (path, key)
                     for key in required if key not in value]
        clean = {}
        for key in fields:
            try:
                if key in value:
                    clean[key] = fields[key](value[key], path + "." + key)
            except Invalid as fault:
                messages += fault.args
        if messages:
            raise Invalid(*messages)
        return clean
    return validate


def email_fault(value):
    label = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    pattern = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@" + label
    if re.fullmatch(pattern + r"(?:\." + label + ")*", value):
        return None
    return "must be a valid email"


def url_fault(value):
    if re.search(r"\s", value):
        return "must not contain spaces"
    try:
        parts = urllib.parse.urlsplit(value)
    except ValueError:
        return "is not a valid URL"
    web = parts.scheme in ("http", "https")
    if not parts.scheme or (web and not parts.hostname):
        return "is not a valid URL"
    return None


def base64_fault(value):
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return "must be a valid base64 string"
    return None


def uuid_fault(value):
    pattern = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    if re.fullmatch(pattern, value.lower()):
        return None
    return "must be a valid UUID"


def non_empty(value):
    return None if value else "must not be empty"


USER_ID = string(check=uuid_fault)
TRUE_FALSE = string(check=matches("true|false", "must be true or false"))
RISK = record({"bot": integer(0, 100), "free_trial_abuse": integer(0, 100)},
              ("bot", "free_trial_abuse"))
USER_FIELDS = {
    "primary_email": string(nullable=True, check=email_fault),
    "primary_email_verified": boolean(),
    "primary_email_auth_enabled": boolean(),
    "password_hash": string(check=non_empty),
    "password": string(nullable=True, limit=70),
    "otp_auth_enabled": boolean(),
    "display_name": string(nullable=True, limit=256),
    "profile_image_url": string(nullable=True, limit=1000000,
                                check=url_fault),
    "client_metadata": anything,
    "client_read_only_metadata": anything,
    "server_metadata": anything,
    "totp_secret_base64": string(nullable=True, check=base64_fault),
    "is_anonymous": boolean(),
    "restricted_by_admin": boolean(),
    "restricted_by_admin_reason": string(nullable=True),
    "restricted_by_admin_private_details": string(nullable=True),
    "country_code": string(nullable=True, check=matches(
        "[A-Za-z]{2}", "must be a valid country code")),
    "risk_scores": record({"sign_up": RISK}, ("sign_up",)),
    "passkey_auth_enabled": boolean(),
}
OAUTH_ITEM = record({"id": string(), "account_id": string(),
                     "email": string(nullable=True)}, ("id", "account_id"))
CREATE_USER = record(dict(USER_FIELDS, oauth_providers=list_of(OAUTH_ITEM)))
UPDATE_USER = record(dict(
    USER_FIELDS, is_anonymous=boolean(only=False),
    selected_team_id=string(nullable=True, check=uuid_fault)))
LIST_USERS = record({
    "limit": integer(1), "cursor": USER_ID, "desc": TRUE_FALSE,
    "order_by": string(check=matches("signed_up_at", "must be signed_up_at")),
    "query": string(), "team_id": USER_ID, "include_restricted": TRUE_FALSE,
    "include_anonymous": TRUE_FALSE, "only_anonymous": TRUE_FALSE})
CHANNEL_FIELDS = {
    "value": string(check=email_fault), "used_for_auth": boolean(),
    "is_verified": boolean(), "is_primary": boolean(),
    "type": string(check=matches("email", "must be email"))}
CREATE_CHANNEL = record(dict(CHANNEL_FIELDS, user_id=USER_ID),
                        ("user_id", "type", "value", "used_for_auth"))
UPDATE_CHANNEL = record(CHANNEL_FIELDS)
CREATE_OAUTH = record({
    "user_id": USER_ID, "provider_config_id": string(),
    "account_id": string(), "email": string(nullable=True),
    "allow_sign_in": boolean(), "allow_connected_accounts": boolean()},
    ("user_id", "provider_config_id", "account_id", "allow_sign_in",
     "allow_connected_accounts"))
OF_USER = record({"user_id": USER_ID})
NOTHING = record({})
SIGN_IN = record({"email": string(check=email_fault),
                  "password": string(limit=70)}, ("email", "password"))
MFA_SIGN_IN = record({
    "type": string(check=matches("totp", "must be totp")),
    "totp": string(), "code": string()}, ("type", "totp", "code"))
SESSION = record({"user_id": USER_ID, "expires_in_millis": integer(1),
                  "is_impersonation": boolean()}, ("user_id",))
SEND_RESET = record({"email": string(check=email_fault),
                     "callback_url": string(check=url_fault)},
                    ("email", "callback_url"))


def storable(value, depth=1):
    """False for what the real server's database refuses: NUL characters,
    half surrogate pairs, and documents nested too deeply."""
    if isinstance(value, str):
        return "\0" not in value and not re.search("[\ud800-\udfff]", value)
    if isinstance(value, (dict, list)):
        if depth > MAX_JSON_DEPTH:
            return False
        parts = value
        if isinstance(value, dict):
            parts = [*value.keys(), *value.values()]
        return all(storable(part, depth + 1) for part in parts)
    return True


def parse_json(text):
    """Parses as JavaScript does: big integers lose their low digits, and
    a key __proto__ vanishes.  Raises ValueError."""
    def js_integer(digits):
        number = int(digits) if len(digits) < 400 else float("inf")
        if abs(number) <= MAX_SAFE_INTEGER:
            return number
        number = float(number)
        return int(number) if abs(number) < 1e21 else number

    def js_object(pairs):
        return {key: value for key, value in pairs if key != "__proto__"}

    def no_constant(name):
        raise ValueError(name)

    return json.loads(text, parse_int=js_integer,
                      parse_constant=no_constant,
                      object_pairs_hook=js_object)


# ------------------------------------------------------------- passwords

class Bcrypt:
    """bcrypt by the C library's crypt_r(), which Python does not have."""

    VALID = re.compile(r"\$2[aby]\$(0[4-9]|1[0-6])\$[./A-Za-z0-9]{53}")
    COST = 5        # of the passwords that arrive in plain text
    DATA_BYTES = 32768

    def __init__(self):
        self.crypt_r = None
        for name in ("libcrypt.so.1", "libcrypt.so.2"):
            try:
                self.crypt_r = ctypes.CDLL(name).crypt_r
            except (OSError, AttributeError):
                continue
            self.crypt_r.restype = ctypes.c_char_p
            self.crypt_r.argtypes = [ctypes.c_char_p, ctypes.c_char_p,
                                     ctypes.c_char_p]
            break

    def crypt(self, password, setting):
        if self.crypt_r is None:
            raise Answer(501, "This host's libcrypt has no bcrypt.")
        data = ctypes.create_string_buffer(self.DATA_BYTES)
        result = self.crypt_r(password.encode(), setting.encode(), data)
        return (result or b"").decode()

    def hash(self, password):
        salt = base64.b64encode(os.urandom(17))[:22].decode()
        return self.crypt(password, "$2b$%02d$%s" % (
            self.COST, salt.replace("+", ".")))

    def verify(self, password, password_hash):
        if "\0" in password:
            return False
        found = self.crypt(password, password_hash)
        return hmac.compare_digest(found, password_hash)


BCRYPT = Bcrypt()


def totp_matches(secret_base64, code):
    """RFC 6238 with SHA-1, six digits and 30 seconds, one step of grace."""
    secret = base64.b64decode(secret_base64)
    step = int(time.time()) // 30
    for counter in (step - 1, step, step + 1):
        digest = hmac.new(secret, struct.pack(">Q", counter),
                          hashlib.sha1).digest()
        offset = digest[-1] & 15
        number = struct.unpack(">I", digest[offset:offset + 4])[0]
        if "%06d" % ((number & 0x7fffffff) % 1000000) == code:
            return True
    return False


# ----------------------------------------------------------------- state

class Store:
    """Users and mails, in memory and, if asked, in an SQLite file.

    Callers hold self.lock over a whole change: what is looked up is still
    true when it is put.  Users handed out are not to be modified; put() takes
    a changed copy."""

    def __init__(self, path):
        self.lock = threading.RLock()
        self.users = {}
        self.mails = []
        self.auth_emails = {}       # (project, e-mail) -> user id
        self.oauth_accounts = {}    # (project, provider, account) -> user id
        self.db = sqlite3.connect(path or ":memory:",
                                  check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("CREATE TABLE IF NOT EXISTS record ("
                        "kind TEXT, id TEXT, doc TEXT NOT NULL, "
                        "PRIMARY KEY (kind, id))")
        rows = self.db.execute("SELECT kind, doc FROM record ORDER BY rowid")
        for kind, doc in rows.fetchall():
            if kind == "user":
                user = json.loads(doc)
                self.users[user["id"]] = user
                self._index(user)
            else:
                self.mails.append(json.loads(doc))

    def _write(self, sql, *values):
        with self.db:
            self.db.execute(sql, values)

    def _keys(self, user):
        """Every (index, key) under which the user is found."""
        project = user["project_id"]
        for channel in user["contact_channels"]:
            if channel["used_for_auth"]:
                yield self.auth_emails, (project, channel["value"])
        for account in user["oauth_providers"]:
            yield self.oauth_accounts, (
                project, account["provider_config_id"],
                account["account_id"])

    def _index(self, user):
        for index, key in self._keys(user):
            index[key] = user["id"]

    def _unindex(self, user):
        for index, key in self._keys(user):
            index.pop(key, None)

    def put(self, user):
        self._write("INSERT OR REPLACE INTO record VALUES ('user', ?, ?)",
                    user["id"], json.dumps(user))
        if user["id"] in self.users:
            self._unindex(self.users[user["id"]])
        self.users[user["id"]] = user
        self._index(user)

    def delete(self, user_id):
        self._write("DELETE FROM record WHERE kind = 'user' AND id = ?",
                    user_id)
        self._unindex(self.users.pop(user_id))

    def add_mail(self, mail):
        self._write("INSERT INTO record VALUES ('mail', ?, ?)",
                    mail["id"], json.dumps(mail))
        self.mails.append(mail)

    def find(self, project, user_id):
        """The user, or None when the project has no such one."""
        user = self.users.get(user_id.lower())
        if user is None or user["project_id"] != project["id"]:
            return None
        return user

    def clear(self):
        self._write("DELETE FROM record")
        for container in (self.users, self.mails, self.auth_emails,
                          self.oauth_accounts):
            container.clear()


def primary_channel(user):
    for channel in user["contact_channels"]:
        if channel["is_primary"]:
            return channel
    return None


def restricted_reason(user, project):
    channel = primary_channel(user)
    if user["is_anonymous"]:
        return {"type": "anonymous"}
    if project["require_email_verification"] and not (
            channel and channel["is_verified"]):
        return {"type": "email_not_verified"}
    if user["restricted_by_admin"]:
        return {"type": "restricted_by_administrator"}
    return None


PLAIN_FIELDS = ["display_name", "profile_image_url", "client_metadata",
                "client_read_only_metadata", "server_metadata",
                "otp_auth_enabled", "is_anonymous", "restricted_by_admin",
                "restricted_by_admin_reason",
                "restricted_by_admin_private_details", "country_code",
                "risk_scores"]


def user_view(user, project):
    """The user as the API shows it."""
    channel = primary_channel(user)
    reason = restricted_reason(user, project)
    has_password = user["password_hash"] is not None
    view = {name: user[name] for name in PLAIN_FIELDS + [
        "id", "signed_up_at_millis", "last_active_at_millis",
        "requires_totp_mfa"]}
    view.update({
        "primary_email": channel["value"] if channel else None,
        "primary_email_verified": bool(channel and channel["is_verified"]),
        "primary_email_auth_enabled": bool(channel
                                           and channel["used_for_auth"]),
        "has_password": has_password,
        "auth_with_email": has_password or user["otp_auth_enabled"],
        "passkey_auth_enabled": False,
        "oauth_providers": [{"id": account["provider_config_id"],
                             "account_id": account["account_id"],
                             "email": account["email"]}
                            for account in user["oauth_providers"]],
        "selected_team_id": None,
        "selected_team": None,
        "is_restricted": reason is not None,
        "restricted_reason": reason,
    })
    return view


def new_channel(value):
    return {"id": str(uuid.uuid4()), "type": "email", "value": value,
            "is_primary": False, "is_verified": False,
            "used_for_auth": False}


def new_account(provider, account_id, email, sign_in=True, connected=True):
    return {"id": str(uuid.uuid4()), "provider_config_id": provider,
            "account_id": account_id, "email": email,
            "allow_sign_in": sign_in, "allow_connected_accounts": connected}


def new_user(project):
    millis = now_millis()
    user = dict.fromkeys(PLAIN_FIELDS)
    user.update({
        "id": str(uuid.uuid4()), "project_id": project["id"],
        "signed_up_at_millis": millis, "last_active_at_millis": millis,
        "otp_auth_enabled": False, "is_anonymous": False,
        "restricted_by_admin": False,
        "risk_scores": {"sign_up": {"bot": 0, "free_trial_abuse": 0}},
        "password_hash": None, "totp_secret_base64": None,
        "requires_totp_mfa": False,
        "contact_channels": [], "oauth_providers": []})
    return user


# ------------------------------------------------------------------- API

Request = collections.namedtuple(
    "Request", "method path query headers body project access")


def normal_email(text):
    return text.strip().lower()


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


class Api:
    """The endpoints.  Each takes the request and the values of its path,
    and returns (status, body) or raises Answer or ServerFault."""

    ROUTES = [
        # method, path below /api/v1, endpoint, may a client call it
        ("GET", "/projects/current", "get_project", True),
        ("GET", "/users", "list_users", False),
        ("POST", "/users", "create_user", False),
        ("GET", "/users/([^/]+)", "get_user", False),
        ("PATCH", "/users/([^/]+)", "update_user", False),
        ("DELETE", "/users/([^/]+)", "delete_user", False),
        ("GET", "/contact-channels", "list_channels", False),
        ("POST", "/contact-channels", "create_channel", False),
        ("PATCH", "/contact-channels/([^/]+)/([^/]+)", "update_channel",
         False),
        ("DELETE", "/contact-channels/([^/]+)/([^/]+)", "delete_channel",
         False),
        ("GET", "/oauth-providers", "list_oauth", False),
        ("POST", "/oauth-providers", "create_oauth", False),
        ("POST", "/auth/password/sign-in", "sign_in", True),
        ("POST", "/auth/password/send-reset-code", "send_reset_code", True),
        ("POST", "/auth/mfa/sign-in", "mfa_sign_in", True),
        ("POST", "/auth/sessions", "create_session", False),
    ]

    def __init__(self, config, store, pause):
        """pause: sleeps so many seconds, shorter when the server stops."""
        self.config = config
        self.store = store
        self.pause = pause
        self.projects = {}
        self.mfa_attempts = {}      # code -> user id
        for project_id, settings in config["projects"].items():
            self.projects[project_id] = dict(PROJECT_DEFAULTS, **settings,
                                             id=project_id)

    def route(self, method, path):
        """Returns (endpoint, path values, may a client call it)."""
        found = re.fullmatch("/api/(?:v1|latest)(/.*)", path)
        allowed = False
        for verb, pattern, name, client in self.ROUTES if found else []:
            match = re.fullmatch(pattern, found.group(1))
            if match and verb == method:
                return getattr(self, name), match.groups(), client
            allowed = allowed or match
        if allowed:
            raise Answer(405, None)
        raise Answer(404, "404 not found")

    def call(self, method, path, query_text, headers, raw_body):
        """Serves one request: (status, body) or an exception."""
        endpoint, values, client = self.route(method, path)
        project, access = self.authenticate(headers)
        if access == "client" and not client:
            raise known_error(
                401, "INSUFFICIENT_ACCESS_TYPE",
                "The x-stack-access-type header must be 'server' or "
                "'admin', but was 'client'.",
                {"actual_access_type": "client",
                 "allowed_access_types": ["server", "admin"]})
        pairs = urllib.parse.parse_qsl(query_text, keep_blank_values=True)
        body = None
        if method in ("POST", "PATCH"):
            body = self.parse_body(method, path, headers, raw_body)
        return endpoint(Request(method, path, dict(pairs), headers, body,
                                project, access), *values)

    def parse_body(self, method, path, headers, raw_body):
        kind = headers.get("content-type", "").split(";")[0].strip().lower()
        if not kind:
            raise schema_error(Request(method, path, *[None] * 5),
                               ["body must be defined"])
        if kind != "application/json":
            raise known_error(400, "BODY_PARSING_ERROR",
                              "Unknown content type in request body: " + kind)
        if len(raw_body) > MAX_BODY_BYTES:
            raw_body = raw_body[:MAX_BODY_BYTES]
        try:
            return parse_json(raw_body.decode("utf-8", "replace"))
        except RecursionError:
            raise ServerFault("body nested too deeply") from None
        except ValueError:
            raise known_error(400, "BODY_PARSING_ERROR",
                              "Invalid JSON") from None

    def authenticate(self, headers):
        """Returns (project, access type)."""
        access = headers.get("x-stack-access-type")
        keys = {"client": ("x-stack-publishable-client-key", "client_key",
                           "PUBLISHABLE_CLIENT_KEY", "publishable client"),
                "server": ("x-stack-secret-server-key", "server_key",
                           "SECRET_SERVER_KEY", "secret server"),
                "admin": ("x-stack-super-secret-admin-key", "admin_key",
                          "SUPER_SECRET_ADMIN_KEY", "super secret admin")}
        if access is None:
            if any(headers.get(key[0]) for key in keys.values()):
                raise known_error(
                    400, "PROJECT_KEY_WITHOUT_ACCESS_TYPE",
                    "A project key was given without x-stack-access-type.")
            raise known_error(400, "ACCESS_TYPE_REQUIRED",
                              "The x-stack-access-type header is missing.")
        if access not in keys:
            raise known_error(400, "INVALID_ACCESS_TYPE",
                              "The x-stack-access-type header is invalid.")
        project_id = headers.get("x-stack-project-id")
        if not project_id:
            raise known_error(400, "ACCESS_TYPE_WITHOUT_PROJECT_ID",
                              "The x-stack-project-id header is missing.")
        project = self.projects.get(project_id)
        if project is None:
            raise known_error(
                400, "CURRENT_PROJECT_NOT_FOUND",
                "The current project with ID %s was not found. Please check "
                "the value of the x-stack-project-id header." % project_id,
                {"project_id": project_id})
        if headers.get("x-stack-branch-id", "main") not in project["branches"]:
            raise known_error(400, "BRANCH_DOES_NOT_EXIST",
                              "The branch does not exist.")
        header, setting, code, text = keys[access]
        if not headers.get(header):
            raise known_error(401, access.upper() + "_AUTHENTICATION_REQUIRED",
                              "The %s header is missing." % header)
        if headers[header] != project[setting]:
            raise known_error(
                401, "INVALID_" + code,
                "The %s key is not valid for the project \"%s\". Does the "
                "project and/or the key exist?" % (text, project_id),
                {"project_id": project_id})
        return project, access

    @staticmethod
    def check(request, schema, copies=1):
        """The body fitted to the schema.  copies: how often the real server
        repeats each complaint."""
        try:
            Api.check_query(request, NOTHING)
            return schema(request.body, "body")
        except Invalid as fault:
            raise schema_error(request,
                               list(fault.args) * copies) from None

    @staticmethod
    def check_query(request, schema):
        try:
            return schema(request.query, "query")
        except Invalid as fault:
            raise schema_error(request, fault.args) from None

    def user(self, request, user_id):
        """The user of a path, or the error that there is none."""
        fault = uuid_fault(user_id)
        if fault:
            raise schema_error(request, ["params.user_id " + fault])
        user = self.store.find(request.project, user_id)
        if user is None:
            raise user_not_found()
        return user

    # projects

    def get_project(self, request):
        self.check_query(request, NOTHING)
        project = request.project
        config = {name: project[name] for name in (
            "sign_up_enabled", "credential_enabled", "magic_link_enabled",
            "passkey_enabled", "client_team_creation_enabled",
            "client_user_deletion_enabled", "allow_user_api_keys",
            "allow_team_api_keys", "domains")}
        config["enabled_oauth_providers"] = [
            {"id": name} for name in project["enabled_oauth_providers"]]
        return 200, {"id": project["id"], "config": config,
                     "display_name": project["display_name"]}

    # users

    def list_users(self, request):
        want = self.check_query(request, LIST_USERS)
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
        users.sort(key=self.list_order, reverse=backwards)
        if "cursor" in want:
            users = self.from_cursor(users, want["cursor"].lower())
        pattern = like_regex(want.get("query", ""))
        items = []
        for user in users:
            view = user_view(user, request.project)
            if (view["is_anonymous"] and not anonymous
                    or view["is_restricted"] and not restricted
                    or only and not view["is_anonymous"]
                    or not self.found_by(user, want.get("query"), pattern)):
                continue
            items.append(view)
        limit = want.get("limit", len(items))
        cursor = items[limit]["id"] if len(items) > limit else None
        return 200, {"items": items[:limit], "is_paginated": True,
                     "pagination": {"next_cursor": cursor}}

    @staticmethod
    def list_order(user):
        return user["signed_up_at_millis"], user["id"]

    @staticmethod
    def from_cursor(users, cursor):
        """The cursor's user is the first of the page; without it, the page
        is empty and nobody is told."""
        for index, user in enumerate(users):
            if user["id"] == cursor:
                return users[index:]
        return []

    @staticmethod
    def found_by(user, query, pattern):
        if not query or user["id"] == query.lower():
            return True
        texts = [channel["value"] for channel in user["contact_channels"]]
        texts.append(user["display_name"] or "")
        return any(pattern.search(text) for text in texts)

    def create_user(self, request):
        body = self.check(request, CREATE_USER, copies=2)
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
        return 201, user_view(user, request.project)

    def oauth_collision(self, user):
        accounts = self.store.oauth_accounts
        providers = [account["provider_config_id"]
                     for account in user["oauth_providers"]]
        return len(set(providers)) < len(providers) or any(
            (user["project_id"], account["provider_config_id"],
             account["account_id"]) in accounts
            for account in user["oauth_providers"])

    def put_storable(self, user):
        if not storable(user):
            raise ServerFault("text that the database refuses")
        self.store.put(user)

    def get_user(self, request, user_id):
        self.check_query(request, NOTHING)
        return 200, user_view(self.user(request, user_id), request.project)

    def update_user(self, request, user_id):
        body = self.check(request, UPDATE_USER)
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
        return 200, user_view(user, request.project)

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
        if url is None or re.match("https?:", url, re.IGNORECASE):
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

    def email_taken(self, project, email, user):
        owner = self.store.auth_emails.get((project["id"], email))
        return owner is not None and owner != user["id"]

    def delete_user(self, request, user_id):
        self.check_query(request, NOTHING)
        with self.store.lock:
            self.store.delete(self.user(request, user_id)["id"])
        return 200, {"success": True}

    # contact channels

    def list_channels(self, request):
        user_id = self.check_query(request, OF_USER).get("user_id")
        return 200, {"is_paginated": False, "items": [
            dict(channel, user_id=user["id"])
            for user in self.users_of(request, user_id)
            for channel in user["contact_channels"]]}

    def users_of(self, request, user_id):
        """All users of the project, or the one that is asked for."""
        with self.store.lock:
            return [user for user in self.store.users.values()
                    if user["project_id"] == request.project["id"]
                    and user_id in (None, user["id"])]

    def create_channel(self, request):
        body = self.check(request, CREATE_CHANNEL)
        with self.store.lock:
            user = self.store.find(request.project, body["user_id"])
            if user is None:        # the real server trips over this as well
                raise ServerFault("no such user")
            user = copy.deepcopy(user)
            channel = new_channel(normal_email(body["value"]))
            if any(channel["value"] == other["value"]
                   for other in user["contact_channels"]):
                raise Answer(400, "Contact channel already exists")
            user["contact_channels"].append(channel)
            self.apply_channel(request, user, channel, body)
        return 201, dict(channel, user_id=user["id"])

    def apply_channel(self, request, user, channel, body):
        if body.get("is_primary"):
            for other in user["contact_channels"]:
                other["is_primary"] = False
        for name in ("is_primary", "is_verified", "used_for_auth"):
            channel[name] = body.get(name, channel[name])
        if channel["used_for_auth"] and self.email_taken(
                request.project, channel["value"], user):
            raise known_error(
                409, "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE",
                "This e-mail is already used for authentication by another "
                "account.")
        self.put_storable(user)

    def channel(self, request, user_id, channel_id):
        """Returns a copy of the user and, in it, the channel."""
        user = copy.deepcopy(self.user(request, user_id))
        for channel in user["contact_channels"]:
            if channel["id"] == channel_id.lower():
                return user, channel
        raise Answer(404, "Contact channel not found")

    def update_channel(self, request, user_id, channel_id):
        body = self.check(request, UPDATE_CHANNEL)
        with self.store.lock:
            user, channel = self.channel(request, user_id, channel_id)
            if "value" in body:
                channel["value"] = normal_email(body["value"])
            self.apply_channel(request, user, channel, body)
        return 200, dict(channel, user_id=user["id"])

    def delete_channel(self, request, user_id, channel_id):
        self.check_query(request, NOTHING)
        with self.store.lock:
            user, channel = self.channel(request, user_id, channel_id)
            user["contact_channels"].remove(channel)
            self.store.put(user)
        return 200, {"success": True}

    # OAuth accounts

    @staticmethod
    def account_view(user, account):
        return dict(account, user_id=user["id"],
                    type=account["provider_config_id"])

    def list_oauth(self, request):
        user_id = self.check_query(request, OF_USER).get("user_id")
        return 200, {"is_paginated": False, "items": [
            self.account_view(user, account)
            for user in self.users_of(request, user_id)
            for account in user["oauth_providers"]]}

    def create_oauth(self, request):
        body = self.check(request, CREATE_OAUTH)
        provider = body["provider_config_id"]
        if provider not in request.project["enabled_oauth_providers"]:
            raise Answer(404, "OAuth provider %s not found" % provider)
        with self.store.lock:
            user = copy.deepcopy(self.user(request, body["user_id"]))
            account = new_account(
                provider, body["account_id"], body.get("email"),
                body["allow_sign_in"], body["allow_connected_accounts"])
            if account["allow_sign_in"]:
                self.refuse_second_sign_in(request, user, account)
            if (request.project["id"], provider, account["account_id"]
                    ) in self.store.oauth_accounts:
                raise ServerFault("OAuth account in use")
            user["oauth_providers"].append(account)
            self.put_storable(user)
        return 201, self.account_view(user, account)

    def refuse_second_sign_in(self, request, user, account):
        provider = account["provider_config_id"]
        if any(other["allow_sign_in"]
               and other["provider_config_id"] == provider
               for other in user["oauth_providers"]):
            raise Answer(400, "The user already signs in with %s" % provider)
        # The real server does not look at the provider here.
        if any(other["allow_sign_in"]
               and other["account_id"] == account["account_id"]
               for someone in self.users_of(request, None)
               for other in someone["oauth_providers"]):
            raise known_error(
                400, "OAUTH_PROVIDER_ACCOUNT_ID_ALREADY_USED_FOR_SIGN_IN",
                "The OAuth account is already used for sign-in.")

    # sign-in

    def sign_in(self, request):
        body = self.check(request, SIGN_IN)
        if not request.project["credential_enabled"]:
            raise self.passwords_off()
        with self.store.lock:
            user = self.user_by_email(request, body["email"])
        if (user is None or user["password_hash"] is None
                or not BCRYPT.verify(body["password"],
                                     user["password_hash"])):
            raise known_error(400, "EMAIL_PASSWORD_MISMATCH",
                              "Wrong e-mail or password.")
        if user["requires_totp_mfa"]:
            code = random_code(45)
            self.mfa_attempts[code] = user["id"]
            raise known_error(
                400, "MULTI_FACTOR_AUTHENTICATION_REQUIRED",
                "Multi-factor authentication is required for this user.",
                {"attempt_code": code})
        return 200, self.signed_in(user["id"])

    @staticmethod
    def passwords_off():
        return known_error(400, "PASSWORD_AUTHENTICATION_NOT_ENABLED",
                           "Password authentication is not enabled for this "
                           "project.")

    def user_by_email(self, request, email):
        """Whoever may sign in with the e-mail, or None."""
        return self.store.users.get(self.store.auth_emails.get(
            (request.project["id"], normal_email(email))))

    def signed_in(self, user_id):
        with self.store.lock:
            user = self.store.users.get(user_id)
            if user is None:
                raise user_not_found()
            self.store.put(dict(user, last_active_at_millis=now_millis()))
        return {"access_token": secrets.token_urlsafe(48),
                "refresh_token": random_code(45), "user_id": user_id}

    def mfa_sign_in(self, request):
        body = self.check(request, MFA_SIGN_IN)
        with self.store.lock:
            user = self.store.find(
                request.project, self.mfa_attempts.get(body["code"], ""))
            if user is None:
                raise known_error(404, "VERIFICATION_CODE_NOT_FOUND",
                                  "The verification code does not exist.")
            if not totp_matches(user["totp_secret_base64"], body["totp"]):
                raise known_error(400, "INVALID_TOTP_CODE",
                                  "The TOTP code is invalid.")
            del self.mfa_attempts[body["code"]]
            return 200, self.signed_in(user["id"])

    def create_session(self, request):
        body = self.check(request, SESSION)
        with self.store.lock:
            user = self.store.find(request.project, body["user_id"])
        if user is None:
            raise known_error(400, "USER_ID_DOES_NOT_EXIST",
                              "The given user does not exist.")
        tokens = self.signed_in(user["id"])
        del tokens["user_id"]
        return 200, tokens

    def send_reset_code(self, request):
        body = self.check(request, SEND_RESET)
        if not request.project["credential_enabled"]:
            raise self.passwords_off()
        with self.store.lock:
            user = self.user_by_email(request, body["email"])
            if user is not None:
                self.check_trusted(request.project, body["callback_url"])
                self.store.add_mail({
                    "id": str(uuid.uuid4()), "user_id": user["id"],
                    "project_id": request.project["id"],
                    "email": normal_email(body["email"]),
                    "callback_url": body["callback_url"],
                    "code": random_code(45), "sent_at_millis": now_millis()})
        if user is None:
            self.pause(self.config["unknown_email_seconds"])
        return 200, {"success": "maybe, only if user with e-mail exists"}

    @staticmethod
    def check_trusted(project, url):
        """Scheme, host and port must be those of a trusted domain."""
        def origin(text):
            parts = urllib.parse.urlsplit(text)
            default = {"http": 80, "https": 443}.get(parts.scheme)
            return parts.scheme, parts.hostname, parts.port or default
        try:
            wanted = origin(url)
        except ValueError:
            wanted = None
        trusted = [origin(entry["domain"]) for entry in project["domains"]]
        if wanted in trusted:
            return
        if wanted and wanted[1] == "localhost" and project["allow_localhost"]:
            return
        raise known_error(
            400, "REDIRECT_URL_NOT_WHITELISTED",
            "Redirect URL not whitelisted. Did you forget to add this domain "
            "to the trusted domains list on the Stack Auth dashboard?")


# ---------------------------------------------------------------- faults

class FaultRule:
    KINDS = ("429_retry_after", "429", "500_before_commit",
             "500_after_commit", "reset_before_commit", "reset_after_commit",
             "half_answer", "garbage_body", "wrong_content_type",
             "huge_answer", "slow", "never_answer")
    DEFAULTS = {"kind": None, "method": ".*", "path": ".*", "skip": 0,
                "first": None, "every": 1, "probability": 1.0, "seed": 0,
                "seconds": None, "retry_after": 1, "when": None,
                "bytes": 200 * 1000 * 1000}

    def __init__(self, rule):
        """Raises ValueError when the rule is not one."""
        unknown = set(rule) - set(self.DEFAULTS)
        if unknown or rule.get("kind") not in self.KINDS:
            raise ValueError("bad fault rule: %s" % json.dumps(rule))
        self.rule = dict(self.DEFAULTS, **rule)
        kind = rule["kind"]
        if self.rule["seconds"] is None:
            self.rule["seconds"] = 3600 if kind == "never_answer" else 1
        if self.rule["when"] is None:
            before = kind == "slow" or kind.startswith("429")
            before = before or kind.endswith("before_commit")
            self.rule["when"] = "before" if before else "after"
        movable = kind in ("slow", "never_answer")
        if (self.rule["when"] not in ("before", "after")
                or ("when" in rule and not movable)
                or self.rule["every"] < 1):
            raise ValueError("bad fault rule: %s" % json.dumps(rule))
        try:
            self.method = re.compile(self.rule["method"])
            self.path = re.compile(self.rule["path"])
        except re.error as fault:
            raise ValueError("bad fault rule: %s" % fault) from None
        self.random = random.Random(self.rule["seed"])
        self.matched = 0
        self.fired = 0

    def __getitem__(self, name):
        return self.rule[name]

    def decide(self, method, path):
        """Whether the rule would fire for this request."""
        if not (self.method.fullmatch(method) and self.path.fullmatch(path)):
            return False
        self.matched += 1
        # Drawn for each match, so that the nth draw is the nth request's.
        lucky = self.random.random() < self.rule["probability"]
        number = self.matched - self.rule["skip"]
        if number < 1 or number % self.rule["every"]:
            return False
        return lucky and (self.rule["first"] is None
                          or number <= self.rule["first"])

    def describe(self):
        return dict(self.rule, matched=self.matched, fired=self.fired)


class Faults:
    def __init__(self, rules):
        self.lock = threading.Lock()
        self.set(rules)

    def set(self, rules):
        """Raises ValueError and changes nothing when a rule is bad."""
        if not isinstance(rules, list):
            raise ValueError("fault rules must be an array")
        made = [FaultRule(rule) for rule in rules]
        with self.lock:
            self.rules = made

    def choose(self, method, path):
        """The rule that decides on this request, or None."""
        with self.lock:
            firing = [r for r in self.rules if r.decide(method, path)]
            if not firing:
                return None
            firing[0].fired += 1
            return firing[0]

    def describe(self):
        with self.lock:
            return [rule.describe() for rule in self.rules]


# ------------------------------------------------------------------ HTTP

class Journal:
    """What was asked and answered, for the tests."""

    def __init__(self):
        self.lock = threading.Lock()
        self.clear()

    def clear(self):
        with self.lock:
            self.entries = collections.deque(maxlen=LOGGED_REQUESTS)
            self.totals = collections.Counter()
            self.number = 0
            self.in_flight = 0
            self.peak_in_flight = 0
            self.connections = 0

    def connected(self):
        with self.lock:
            self.connections += 1

    def begin(self, entry):
        with self.lock:
            self.number += 1
            self.in_flight += 1
            self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
            entry["number"] = self.number
            self.entries.append(entry)

    def end(self, entry):
        with self.lock:
            self.in_flight = max(0, self.in_flight - 1)
            self.totals["%s %s %s" % (entry["method"], entry["route"],
                                      entry["status"])] += 1
            if entry["fault"]:
                self.totals["fault " + entry["fault"]] += 1

    def since(self, number):
        with self.lock:
            return [dict(entry) for entry in self.entries
                    if entry["number"] > number]

    def counters(self):
        with self.lock:
            return {"totals": dict(self.totals), "requests": self.number,
                    "connections": self.connections,
                    "in_flight": self.in_flight,
                    "peak_in_flight": self.peak_in_flight}


def huge_pieces(length):
    """A JSON object of so many bytes, at least 16, piece by piece."""
    start, end = b'{"id":"', b'"}'
    yield start
    left = length - len(start) - len(end)
    while left > 0:
        yield b"a" * min(left, 65536)
        left -= 65536
    yield end


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection.  self.server is a StandIn."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    REQUEST_SECONDS = 120

    def setup(self):
        self.timeout = self.server.config["keep_alive_seconds"]
        super().setup()
        self.server.journal.connected()

    def log_message(self, *_args):
        pass

    def parse_request(self):
        # A request has begun: the keep-alive timeout is over.
        self.connection.settimeout(self.REQUEST_SECONDS)
        return super().parse_request()

    def serve(self):
        """Any method.  Leaves the connection ready for the next request, or
        sets close_connection."""
        try:
            raw_body = self.read_body()
        except (OSError, ValueError):
            # What is not a whole request is not executed.
            self.close_connection = True
            return
        try:
            parts = urllib.parse.urlsplit(self.path)
            if parts.path.startswith("/_test/"):
                self.serve_test(parts, raw_body)
            else:
                self.serve_api(parts, raw_body)
            if not self.close_connection:
                self.connection.settimeout(self.timeout)
        except OSError:
            # The client went away, or was cut off.
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def read_body(self):
        """Raises ValueError when the request ends early or is malformed."""
        if "chunked" not in self.headers.get("transfer-encoding", "").lower():
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length)
            if len(body) < length:
                raise ValueError("request ends early")
            return body
        parts = []
        while True:
            size = int(self.rfile.readline(1000).split(b";")[0], 16)
            if size:
                parts.append(self.rfile.read(size))
            line = self.rfile.readline(1000)
            while not size and line.strip():      # trailers
                line = self.rfile.readline(1000)
            if not size:
                return b"".join(parts)

    # the API

    def serve_api(self, parts, raw_body):
        headers = {name.lower(): value
                   for name, value in self.headers.items()}
        fault = self.server.faults.choose(self.command, parts.path)
        entry = {
            "at_millis": now_millis(), "method": self.command,
            "path": self.path, "status": None, "request_id": random_code(16),
            "route": re.sub("/[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}", "/{id}",
                            parts.path),
            "fault": fault["kind"] if fault else None, "executed": False,
            "body": raw_body[:100000].decode("utf-8", "replace"),
            "headers": {name: "<redacted>" if name.endswith("-key") else value
                        for name, value in headers.items()}}
        self.server.journal.begin(entry)
        deliver = self.close
        try:
            deliver = self.prepare(parts, headers, raw_body, fault, entry)
        finally:
            # Before the answer leaves: who has it finds it counted.
            self.server.journal.end(entry)
        deliver()

    def prepare(self, parts, headers, raw_body, fault, entry):
        """Executes the request, unless a fault forbids it, and returns what
        sends the answer."""
        when = fault["when"] if fault else None
        deliver = None
        if when == "before":
            deliver = self.fault_before(fault, entry)
        if deliver is None:
            answer = self.execute(parts, headers, raw_body, entry)
            if when == "after":
                return self.fault_after(fault, entry, answer)
            deliver = functools.partial(self.send, *answer)
        return deliver

    def execute(self, parts, headers, raw_body, entry):
        """Lets the API do it: (status, headers, body bytes).  Sets the
        entry's status to what the API says; a fault may replace it."""
        entry["executed"] = True
        code = None
        try:
            status, body = self.server.api.call(
                self.command, parts.path, parts.query, headers, raw_body)
        except Answer as answer:
            status, body, code = answer.status, answer.body, answer.known_error
        except ServerFault:
            status, body = 500, self.opaque_text(entry)
        except Exception:       # a bug here; the test's log shows it
            traceback.print_exc()
            status, body = 500, self.opaque_text(entry)
        entry["status"] = status
        extra = {"x-stack-known-error": code} if code else {}
        if (400 <= status < 500
                and headers.get("x-stack-override-error-status")):
            extra["x-stack-actual-status"] = str(status)
            status = 200
        return self.encode(status, body, entry, extra)

    @staticmethod
    def opaque_text(entry):
        return ("Something went wrong. Please make sure the data you entered "
                "is correct.\n\nRequest ID: " + entry["request_id"])

    @staticmethod
    def encode(status, body, entry, extra=()):
        headers = {"x-stack-request-id": entry["request_id"],
                   "cache-control": "no-store, max-age=0"}
        headers.update(extra)
        if body is None:
            return status, headers, b""
        if isinstance(body, str):
            headers["content-type"] = TEXT_TYPE
            return status, headers, body.encode("utf-8", "replace")
        headers["content-type"] = JSON_TYPE
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return status, headers, text.encode("utf-8", "replace")

    def fault_before(self, fault, entry):
        """What to do in place of the request, or None to execute it."""
        kind = fault["kind"]
        if kind in ("slow", "never_answer"):
            self.server.pause(fault["seconds"])
            return None if kind == "slow" else self.close
        if kind == "reset_before_commit":
            return self.reset_connection
        if kind == "500_before_commit":
            return self.failure(500, self.opaque_text(entry), entry)
        # The body of the development server's artificial limit; what the
        # hosted service's firewall sends is not known.
        extra = {}
        if kind == "429_retry_after":
            extra["retry-after"] = str(fault["retry_after"])
        return self.failure(429, {
            "message": "Artificial development rate limit triggered. Wait "
                       "before retrying."}, entry, extra)

    def failure(self, status, body, entry, extra=()):
        entry["status"] = status
        return functools.partial(
            self.send, *self.encode(status, body, entry, extra))

    def fault_after(self, fault, entry, answer):
        """What to do in place of sending the answer."""
        kind = fault["kind"]
        status, headers, body = answer
        if kind in ("slow", "never_answer"):
            self.server.pause(fault["seconds"])
            if kind == "never_answer":
                return self.close
        elif kind == "reset_after_commit":
            return self.reset_connection
        elif kind == "500_after_commit":
            return self.failure(500, self.opaque_text(entry), entry)
        elif kind == "half_answer":
            return functools.partial(self.send_half, *answer)
        elif kind == "huge_answer":
            return functools.partial(self.send_huge, status, headers,
                                     fault["bytes"])
        elif kind == "garbage_body":
            noise = random.Random(entry["number"])
            body = bytes(noise.randrange(256)
                         for _ in range(max(len(body), 64)))
        else:
            headers["content-type"] = "text/html; charset=utf-8"
        return functools.partial(self.send, status, headers, body)

    def close(self):
        self.close_connection = True

    def reset_connection(self):
        """Ends with RST, not FIN: no time to linger, and the descriptor
        closed beneath Python's own orderly shutdown."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True

    # sending

    def head(self, status, headers, length):
        """length: of the body, None for chunks."""
        lines = ["HTTP/1.1 %d %s" % (status, self.responses.get(
            status, ("Unknown",))[0])]
        lines += ["%s: %s" % item for item in headers.items()]
        if length is None:
            lines.append("transfer-encoding: chunked")
        else:
            lines.append("content-length: %d" % length)
        lines += ["date: " + self.date_time_string(), "connection: keep-alive",
                  "keep-alive: timeout=%d" % self.timeout, "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def chunked(self):
        return (self.server.config["framing"] == "chunked"
                and self.request_version == "HTTP/1.1")

    def frame(self, status, headers, body):
        """The whole answer as it goes over the wire."""
        if not self.chunked() or not body:
            return self.head(status, headers, len(body)) + body
        return b"%s%x\r\n%s\r\n0\r\n\r\n" % (
            self.head(status, headers, None), len(body), body)

    def send(self, status, headers, body):
        self.wfile.write(self.frame(status, headers, body))

    def send_half(self, status, headers, body):
        """The head whole, the body not, and then the end."""
        data = self.frame(status, headers, body)
        self.wfile.write(data[:len(data) - len(body) // 2 - 8])
        self.close()

    def send_huge(self, status, headers, length):
        """As many bytes of JSON, made as they are sent."""
        chunked = self.chunked()
        self.wfile.write(self.head(status, headers,
                                   None if chunked else length))
        for piece in huge_pieces(length):
            if self.server.stopping.is_set():
                raise OSError("stopping")
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece)
                             if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    # the tests' own paths

    def serve_test(self, parts, raw_body):
        entry = {"request_id": random_code(16)}
        try:
            text = raw_body.decode("utf-8", "replace") or "null"
            status, body = self.server.test_call(
                self.command, parts.path[len("/_test/"):],
                dict(urllib.parse.parse_qsl(parts.query)), json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            status, body = 400, "%s: %s" % (type(fault).__name__, fault)
        self.send(*self.encode(status, body, entry))


class StandIn(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, config, faults, state_file):
        self.config = config
        self.stopping = threading.Event()
        self.store = Store(state_file)
        self.faults = Faults(faults)
        self.journal = Journal()
        self.api = Api(config, self.store, self.pause)
        super().__init__(address, Handler)

    def pause(self, seconds):
        self.stopping.wait(seconds)

    def handle_error(self, _request, _client_address):
        # A client that broke off is no news; anything else is a bug here.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(_request, _client_address)

    def test_call(self, method, name, query, body):
        """One of /_test/...: (status, body)."""
        call = (method, name)
        if call == ("GET", "users"):
            with self.store.lock:
                users = sorted(self.store.users.values(), key=Api.list_order)
            return 200, {"users": users}
        if call == ("GET", "requests"):
            return 200, {"requests": self.journal.since(
                int(query.get("since", 0)))}
        if call == ("GET", "counters"):
            return 200, dict(self.journal.counters(),
                             users=len(self.store.users),
                             faults=self.faults.describe())
        if call == ("GET", "mails"):
            return 200, {"mails": list(self.store.mails)}
        if call == ("GET", "faults"):
            return 200, {"faults": self.faults.describe()}
        if call in (("PUT", "faults"), ("DELETE", "faults")):
            self.faults.set(body if method == "PUT" else [])
            return 200, {"faults": self.faults.describe()}
        if call == ("POST", "reset"):
            with self.store.lock:
                self.store.clear()
            self.journal.clear()
            return 200, {"success": True}
        if method == "PATCH" and name.startswith("projects/"):
            project = self.api.projects[name[len("projects/"):]]
            check_settings(body)
            project.update(body)
            return 200, {"success": True}
        return 404, "no such test path"


# ------------------------------------------------------------------ main

def check_settings(settings):
    unknown = set(settings) - set(PROJECT_DEFAULTS)
    if unknown:
        raise ValueError("unknown project settings: %s"
                         % ", ".join(sorted(unknown)))


def read_json(argument):
    """JSON given in place, or the name of a file that holds it."""
    if argument.lstrip()[:1] in ("{", "["):
        return json.loads(argument)
    with open(argument, encoding="utf-8") as file:
        return json.load(file)


def merge_config(given):
    """Given settings win; a project that is given by a known id is merged
    with that project's defaults, null takes it away."""
    config = copy.deepcopy(DEFAULT_CONFIG)
    unknown = set(given) - set(config)
    if unknown:
        raise ValueError("unknown settings: %s" % ", ".join(sorted(unknown)))
    projects = config["projects"]
    for project_id, settings in given.get("projects", {}).items():
        check_settings(settings or {})
        projects[project_id] = dict(projects.get(project_id, {}),
                                    **(settings or {}))
        if settings is None:
            del projects[project_id]
    config.update(given, projects=projects)
    return config


def write_port_file(path, port):
    """The name appears with its content, never before."""
    partial = "%s.%d" % (path, os.getpid())
    with open(partial, "w", encoding="ascii") as file:
        file.write("%d\n" % port)
    os.replace(partial, path)


def wait_for_end(parent_pid, stopping):
    """Returns when stopping is set or the parent is gone."""
    try:
        parent = os.pidfd_open(parent_pid) if parent_pid else None
    except ProcessLookupError:
        return
    poll = select.poll()
    if parent is not None:
        poll.register(parent, select.POLLIN)
    # Not stopping.wait(): the signal handler that sets it runs right here,
    # and would find the event's lock taken.
    while not stopping.is_set():
        if poll.poll(200):
            return


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="stand-in for Stack Auth's REST API")
    parser.add_argument("--port", type=int, default=0,
                        help="on 127.0.0.1 (default: any free one)")
    parser.add_argument("--port-file", metavar="FILE",
                        help="where to write the port once it is listening")
    parser.add_argument("--state-file", metavar="FILE",
                        help="SQLite file that outlives the server")
    parser.add_argument("--config", metavar="JSON|FILE", default="{}",
                        help="settings and projects, merged into defaults")
    parser.add_argument("--faults", metavar="JSON|FILE", default="[]",
                        help="fault rules; see the head of this program")
    parser.add_argument("--parent-pid", type=int, metavar="PID",
                        help="end when this process does")
    return parser.parse_args()


def main():
    # The walks over documents of MAX_JSON_DEPTH take two frames a level.
    sys.setrecursionlimit(10 * MAX_JSON_DEPTH)
    arguments = parse_arguments()
    try:
        config = merge_config(read_json(arguments.config))
        server = StandIn(("127.0.0.1", arguments.port), config,
                         read_json(arguments.faults), arguments.state_file)
    except (OSError, ValueError, AttributeError, sqlite3.Error) as fault:
        sys.exit("stack_auth_server: %s" % fault)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stopping.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    if arguments.port_file:
        write_port_file(arguments.port_file, port)
    else:
        print(port, flush=True)
    wait_for_end(arguments.parent_pid, server.stopping)
    server.stopping.set()
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
