"""What each request may contain: the checks of its body, or of its query."""

from .validation import (anything, base64_fault, boolean, email_fault,
                         integer, list_of, matches, non_empty, record,
                         string, url_fault, uuid_fault)

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
LIST_FIELDS = {
    "limit": integer(1), "cursor": USER_ID, "desc": TRUE_FALSE,
    "order_by": string(check=matches("signed_up_at", "must be signed_up_at")),
    "query": string(), "team_id": USER_ID, "include_restricted": TRUE_FALSE,
    "include_anonymous": TRUE_FALSE, "only_anonymous": TRUE_FALSE}
LIST_USERS = {
    "stack_auth": record(LIST_FIELDS),
    "hexclave": record(dict(
        LIST_FIELDS, limit=integer(1, 1000), excluded_email_domains=string(),
        order_by=string(check=matches("signed_up_at|last_active_at",
                                      "is not an order"))))}
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
RESET = record({"code": string(), "password": string(limit=70)},
               ("code", "password"))
CHECK_RESET = record({"code": string()}, ("code",))
SEND_RESET = record({"email": string(check=email_fault),
                     "callback_url": string(check=url_fault)},
                    ("email", "callback_url"))
