"""What proves who somebody is: passwords and one-time codes."""

import base64
import ctypes
import hashlib
import hmac
import os
import re
import struct
import time

from .answers import Answer


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
