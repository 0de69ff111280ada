"""Answers other than success, as exceptions: a known error has a code, other
refusals are bare texts, and what the real server trips over is a 500.
"""


class Answer(Exception):
    """An answer other than success.

    A str body is sent as text, anything else as JSON; None sends nothing,
    not even a content type."""

    def __init__(self, status, body, known_error=None, headers=()):
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.known_error = known_error
        self.headers = dict(headers)    # these win, None takes one away


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


def email_taken(email):
    """What is said since Hexclave of users, too, and always was of contact
    channels."""
    code = "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE"
    return known_error(
        409, code, "This email \"(%s)\" is already used for authentication by "
        "another account." % email,
        {"type": "email", "contact_channel_value": email,
         "would_work_if_email_was_verified": False})


def user_not_found():
    return known_error(404, "USER_NOT_FOUND", "User not found.")
