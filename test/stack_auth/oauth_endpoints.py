"""The calls about a user's accounts at OAuth providers."""

import copy

from .answers import Answer, ServerFault, known_error
from .endpoints import Endpoints, check_body, check_query
from .schemas import CREATE_OAUTH, OF_USER
from .users import new_account


class OAuthEndpoints(Endpoints):
    """/oauth-providers"""

    @staticmethod
    def account_view(user, account):
        return dict(account, user_id=user["id"],
                    type=account["provider_config_id"])

    def list_oauth(self, request):
        user_id = check_query(request, OF_USER).get("user_id")
        return 200, {"is_paginated": False, "items": [
            self.account_view(user, account)
            for user in self.users_of(request, user_id)
            for account in user["oauth_providers"]]}

    def create_oauth(self, request):
        body = check_body(request, CREATE_OAUTH)
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
                "A provider with the same account ID is already used for "
                "signing in.")
