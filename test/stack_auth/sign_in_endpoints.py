"""The calls that sign users in, or mail them a way to."""

import secrets
import urllib.parse
import uuid

from .answers import known_error, user_not_found
from .credentials import BCRYPT, totp_matches
from .endpoints import Endpoints, check_body
from .schemas import (CHECK_RESET, MFA_SIGN_IN, RESET, SEND_RESET, SESSION,
                      SIGN_IN)
from .values import normal_email, now_millis, random_code


class SignInEndpoints(Endpoints):
    """/auth"""

    def __init__(self, config, store, pause):
        super().__init__(config, store, pause)
        self.mfa_attempts = {}      # code -> user id

    def sign_in(self, request):
        body = check_body(request, SIGN_IN)
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
            token = secrets.token_urlsafe(48)
            self.store.tokens[token] = user_id
        return {"access_token": token,
                "refresh_token": random_code(45), "user_id": user_id}

    def mfa_sign_in(self, request):
        body = check_body(request, MFA_SIGN_IN)
        with self.store.lock:
            user = self.store.find(
                request.project, self.mfa_attempts.get(body["code"], ""))
            if user is None:
                raise known_error(404, "VERIFICATION_CODE_NOT_FOUND",
                                  "The verification code does not exist.")
            if not totp_matches(user["totp_secret_base64"], body["totp"]):
                raise known_error(400, "INVALID_TOTP_CODE",
                                  "The TOTP code is invalid. Please try "
                                  "again.")
            del self.mfa_attempts[body["code"]]
            return 200, dict(self.signed_in(user["id"]), is_new_user=False)

    def create_session(self, request):
        body = check_body(request, SESSION)
        with self.store.lock:
            user = self.store.find(request.project, body["user_id"])
        if user is None:
            raise known_error(400, "USER_ID_DOES_NOT_EXIST",
                              "The given user does not exist.")
        tokens = self.signed_in(user["id"])
        del tokens["user_id"]
        return 200, tokens

    def send_reset_code(self, request):
        body = check_body(request, SEND_RESET)
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

    def check_reset_code(self, request):
        body = check_body(request, CHECK_RESET)
        with self.store.lock:
            for mail in self.store.mails:
                if mail["code"] == body["code"]:
                    self.refuse_used(mail.get("used", False))
                    return 200, {"is_code_valid": True}
        raise self.no_such_code()

    def reset_password(self, request):
        """Whatever becomes of the password, the code is used up."""
        body = check_body(request, RESET)
        with self.store.lock:
            mail, used = self.store.use_code(body["code"])
            if mail is None:
                raise self.no_such_code()
            self.refuse_used(used)
            if len(body["password"]) < 8:
                raise known_error(400, "PASSWORD_TOO_SHORT",
                                  "Password too short.")
            user = self.store.users.get(mail["user_id"])
            if user is None:
                raise user_not_found()
            self.store.put(dict(
                user, password_hash=BCRYPT.hash(body["password"])))
        return 200, {"success": True}

    @staticmethod
    def refuse_used(used):
        if used:
            raise known_error(409, "VERIFICATION_CODE_ALREADY_USED",
                              "The verification link has already been used.")

    @staticmethod
    def no_such_code():
        return known_error(404, "VERIFICATION_CODE_NOT_FOUND",
                           "The verification code does not exist.")

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
