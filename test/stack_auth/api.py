"""The API: its paths, who may call them with which keys, and the bodies of
requests.
"""

import re
import threading
import urllib.parse

from .answers import Answer, ServerFault, known_error, schema_error
from .channel_endpoints import ChannelEndpoints
from .config import PROJECT_DEFAULTS, is_all_new
from .endpoints import Request, check_query
from .oauth_endpoints import OAuthEndpoints
from .schemas import NOTHING
from .sign_in_endpoints import SignInEndpoints
from .user_endpoints import UserEndpoints
from .validation import parse_json

MAX_BODY_BYTES = 10 * 1024 * 1024


class Idempotency:
    """Answers by key: the same request with the same key is executed once."""

    def __init__(self):
        self.lock = threading.Lock()
        self.kept = {}      # key -> (request, how it ended or None)

    def call(self, key, request, execute):
        with self.lock:
            first, end = self.kept.setdefault(key, (request, None))
            mine = first is request
        if not mine:
            if first != request:
                raise Answer(400, "This idempotency key was used for another "
                                  "request")
            if end is None:
                raise Answer(409, "A request with this idempotency key is "
                                  "still running")
            return end()
        end = self.execute(execute)
        with self.lock:
            self.kept[key] = (request, end)
        return end()

    @staticmethod
    def execute(execute):
        """What gives the answer, or raises it, as often as it is called."""
        try:
            answer = execute()
            return lambda: answer
        except (Answer, ServerFault) as refusal:
            kept = refusal

            def again():
                raise kept
            return again


class Api:
    """The routes to the endpoints."""

    def __init__(self, config, store, pause):
        """pause: sleeps so many seconds, shorter when the server stops."""
        self.config = config
        self.idempotency = Idempotency()
        self.projects = {}
        for project_id, settings in config["projects"].items():
            self.projects[project_id] = dict(PROJECT_DEFAULTS, **settings,
                                             id=project_id)
        users = UserEndpoints(config, store, pause)
        channels = ChannelEndpoints(config, store, pause)
        oauth = OAuthEndpoints(config, store, pause)
        sign_in = SignInEndpoints(config, store, pause)
        self.routes = [
            # method, path below /api/v1, endpoint, may a client call it
            ("GET", "/projects/current", self.get_project, True),
            ("GET", "/users", users.list_users, False),
            ("POST", "/users", users.create_user, False),
            ("GET", "/users/me", users.get_me, True),
            ("GET", "/users/([^/]+)", users.get_user, False),
            ("PATCH", "/users/([^/]+)", users.update_user, False),
            ("DELETE", "/users/([^/]+)", users.delete_user, False),
            ("GET", "/contact-channels", channels.list_channels, False),
            ("POST", "/contact-channels", channels.create_channel, False),
            ("PATCH", "/contact-channels/([^/]+)/([^/]+)",
             channels.update_channel, False),
            ("DELETE", "/contact-channels/([^/]+)/([^/]+)",
             channels.delete_channel, False),
            ("GET", "/oauth-providers", oauth.list_oauth, False),
            ("POST", "/oauth-providers", oauth.create_oauth, False),
            ("POST", "/auth/password/sign-in", sign_in.sign_in, True),
            ("POST", "/auth/password/send-reset-code",
             sign_in.send_reset_code, True),
            ("POST", "/auth/password/reset/check-code",
             sign_in.check_reset_code, True),
            ("POST", "/auth/password/reset", sign_in.reset_password, True),
            ("POST", "/auth/mfa/sign-in", sign_in.mfa_sign_in, True),
            ("POST", "/auth/sessions", sign_in.create_session, False),
        ]

    def route(self, method, path):
        """Returns (endpoint, path values, may a client call it)."""
        found = re.fullmatch("/api/(?:v1|latest)(/.*)", path)
        if "//" in path or (path.endswith("/") and path != "/"):
            to = re.sub("/+", "/", path).rstrip("/")
            raise Answer(308, to, headers={"location": to, "content-type": None,
                                           "cache-control": None})
        allowed = []
        for verb, pattern, endpoint, client in self.routes if found else []:
            match = re.fullmatch(pattern, found.group(1))
            if match and verb == method:
                return endpoint, match.groups(), client
            if match:
                allowed.append(verb)
        if allowed:
            raise Answer(405, None, headers={"allow": ", ".join(allowed)}
                         if is_all_new(self.config) else {})
        if is_all_new(self.config):
            raise Answer(404, "<div>404 Not Found</div>",
                         headers={"content-type": "text/html; charset=utf-8"})
        raise Answer(404, "404: this path is not one of Stack Auth's API")

    def call(self, method, path, query_text, headers, raw_body):
        """Serves one request: (status, body) or an exception."""
        endpoint, values, client = self.route(method, path)
        headers = self.old_names(headers)
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
        if method in ("POST", "PATCH") or (
                method == "DELETE" and headers.get("content-type")):
            body = self.parse_body(method, path, headers, raw_body)
        request = Request(method, path, dict(pairs), headers, body, project,
                          access)
        key = headers.get("x-hexclave-idempotency-key")
        if key is None or method == "GET" or not self.config[
                "idempotency_keys"]:
            return endpoint(request, *values)
        if not 1 <= len(key) <= 512:
            raise Answer(400, "The idempotency key must have 1 to 512 "
                              "characters")
        return self.idempotency.call(
            (project["id"], key), (method, path, query_text, raw_body),
            lambda: endpoint(request, *values))

    def old_names(self, headers):
        """x-hexclave-... is the new name of x-stack-..., and wins."""
        if self.config["contract"] != "hexclave":
            return headers
        prefix = "x-hexclave-"
        renamed = {"x-stack-" + name[len(prefix):]: value
                   for name, value in headers.items()
                   if name.startswith(prefix)}
        return dict(headers, **renamed)

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
                              "Invalid JSON in request body") from None

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

    def get_project(self, request):
        check_query(request, NOTHING)
        project = request.project
        config = {name: project[name] for name in (
            "sign_up_enabled", "credential_enabled", "magic_link_enabled",
            "passkey_enabled", "client_team_creation_enabled",
            "client_user_deletion_enabled", "allow_user_api_keys",
            "allow_team_api_keys", "domains")}
        config["enabled_oauth_providers"] = [
            {"id": name} for name in project["enabled_oauth_providers"]]
        answer = {"id": project["id"], "config": config,
                  "display_name": project["display_name"]}
        if is_all_new(self.config):
            config.update(allow_localhost=project["allow_localhost"],
                          allow_promo_codes=False,
                          allow_stacking_promo_codes=False)
            answer.update(is_development_environment=False,
                          pushed_config_error=None, config_warnings=[])
        return 200, answer
