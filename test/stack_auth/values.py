"""Values as the real server makes them."""

import secrets
import time

# The alphabet of the real server's request ids and codes (Crockford base 32).
CODE_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def random_code(length):
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(length))


def now_millis():
    return int(time.time() * 1000)


def normal_email(text):
    return text.strip().lower()
