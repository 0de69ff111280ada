"""What the endpoints of the API have in common.

An endpoint takes the request and the values of its path, and returns
(status, body) or raises Answer or ServerFault.
"""

import collections

from .answers import ServerFault, schema_error, user_not_found
from .schemas import NOTHING
from .users import METADATA_FIELDS
from .validation import (MAX_METADATA_DEPTH, Invalid, levels, storable,
                         uuid_fault)

Request = collections.namedtuple(
    "Request", "method path query headers body project access")


def check_body(request, schema, copies=1):
    """The body fitted to the schema.  copies: how often the real server
    complains of unknown fields."""
    try:
        check_query(request, NOTHING)
        return schema(request.body, "body")
    except Invalid as fault:
        unknown = [message for message in fault.args
                   if "contains unknown properties" in message]
        raise schema_error(
            request, unknown * (copies - 1) + list(fault.args)) from None


def check_query(request, schema):
    try:
        return schema(request.query, "query")
    except Invalid as fault:
        raise schema_error(request, fault.args) from None


class Endpoints:
    """A group of endpoints."""

    def __init__(self, config, store, pause):
        """pause: sleeps so many seconds, shorter when the server stops."""
        self.config = config
        self.store = store
        self.pause = pause

    def user(self, request, user_id):
        """The user of a path, or the error that there is none."""
        fault = uuid_fault(user_id)
        if fault:
            raise schema_error(request, ["params.user_id " + fault])
        user = self.store.find(request.project, user_id)
        if user is None:
            raise user_not_found()
        return user

    def users_of(self, request, user_id):
        """All users of the project, or the one that is asked for."""
        with self.store.lock:
            return [user for user in self.store.users.values()
                    if user["project_id"] == request.project["id"]
                    and user_id in (None, user["id"])]

    def email_taken(self, project, email, user):
        owner = self.store.auth_emails.get((project["id"], email))
        return owner is not None and owner != user["id"]

    def put_storable(self, user):
        if not storable(user):
            raise ServerFault("text that the database refuses")
        if any(levels(user[name]) > MAX_METADATA_DEPTH
               for name in METADATA_FIELDS):
            raise ServerFault("metadata nested too deeply")
        self.store.put(user)
