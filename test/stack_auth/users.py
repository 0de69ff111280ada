"""A user: as it is kept, with all that is known, and as the API shows it."""

import uuid

from .values import now_millis

METADATA_FIELDS = ["client_metadata", "client_read_only_metadata",
                   "server_metadata"]
PLAIN_FIELDS = METADATA_FIELDS + [
                "display_name", "profile_image_url", "otp_auth_enabled", "is_anonymous", "restricted_by_admin",
                "restricted_by_admin_reason",
                "restricted_by_admin_private_details", "country_code",
                "risk_scores"]


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


def new_channel(value):
    return {"id": str(uuid.uuid4()), "type": "email", "value": value,
            "is_primary": False, "is_verified": False,
            "used_for_auth": False}


def new_account(provider, account_id, email, sign_in=True, connected=True):
    return {"id": str(uuid.uuid4()), "provider_config_id": provider,
            "account_id": account_id, "email": email,
            "allow_sign_in": sign_in, "allow_connected_accounts": connected}


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


def user_view(user, project, new_keys):
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
    if new_keys:
        view["external_auth_providers"] = []
    return view


def list_order(user):
    return user["signed_up_at_millis"], user["id"]
