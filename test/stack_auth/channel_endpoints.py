"""The calls about a user's e-mail addresses."""

import copy

from .answers import Answer, ServerFault, email_taken
from .endpoints import Endpoints, check_body, check_query
from .schemas import CREATE_CHANNEL, NOTHING, OF_USER, UPDATE_CHANNEL
from .users import new_channel
from .values import normal_email


class ChannelEndpoints(Endpoints):
    """/contact-channels"""

    def list_channels(self, request):
        user_id = check_query(request, OF_USER).get("user_id")
        return 200, {"is_paginated": False, "items": [
            dict(channel, user_id=user["id"])
            for user in self.users_of(request, user_id)
            for channel in user["contact_channels"]]}

    def create_channel(self, request):
        body = check_body(request, CREATE_CHANNEL)
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
            raise email_taken(channel["value"])
        self.put_storable(user)

    def channel(self, request, user_id, channel_id):
        """Returns a copy of the user and, in it, the channel."""
        user = copy.deepcopy(self.user(request, user_id))
        for channel in user["contact_channels"]:
            if channel["id"] == channel_id.lower():
                return user, channel
        raise Answer(404, "Contact channel not found")

    def update_channel(self, request, user_id, channel_id):
        body = check_body(request, UPDATE_CHANNEL)
        with self.store.lock:
            user, channel = self.channel(request, user_id, channel_id)
            if "value" in body:
                channel["value"] = normal_email(body["value"])
            self.apply_channel(request, user, channel, body)
        return 200, dict(channel, user_id=user["id"])

    def delete_channel(self, request, user_id, channel_id):
        check_query(request, NOTHING)
        with self.store.lock:
            user, channel = self.channel(request, user_id, channel_id)
            user["contact_channels"].remove(channel)
            self.store.put(user)
        return 200, {"success": True}
