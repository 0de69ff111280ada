"""What values of requests are checked with.

A check takes a value and its path within the request, and returns the value
as the server goes on with it, or raises Invalid.  schemas.py puts checks
together.  Below them is what the real server's parser does to JSON, and what
its database refuses.
"""

import base64
import binascii
import ipaddress
import json
import re
import urllib.parse

MAX_JSON_DEPTH = 499
MAX_METADATA_DEPTH = 123
MAX_SAFE_INTEGER = 2 ** 53


class Invalid(Exception):
    """A value does not fit its schema; args are the messages."""


def string(nullable=False, limit=None, check=None):
    """check: takes the string, returns what is wrong with it or None."""
    def validate(value, path):
        if value is None:
            return null_value(nullable, path)
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, (int, float)):
            value = json.dumps(value)
        if not isinstance(value, str):
            raise Invalid("%s must be a `string` type" % path)
        if limit is not None and utf16_length(value) > limit:
            raise Invalid("%s must be at most %d characters" % (path, limit))
        fault = check(value) if check else None
        if fault:
            raise Invalid("%s %s" % (path, fault))
        return value
    return validate


def null_value(nullable, path):
    if not nullable:
        raise Invalid("%s cannot be null" % path)
    return None


def utf16_length(text):
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def matches(pattern, fault):
    regex = re.compile(pattern)
    return lambda value: None if regex.fullmatch(value) else fault


def boolean(only=None):
    def validate(value, path):
        words = {"true": True, "1": True, "false": False, "0": False}
        if isinstance(value, str):
            value = words.get(value.lower())
        if not isinstance(value, bool) or only not in (None, value):
            raise Invalid("%s must be a `boolean` type" % path)
        return value
    return validate


def integer(low, high=None):
    def validate(value, path):
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Invalid("%s must be an integer" % path)
        if high is not None and value > high:
            raise Invalid("%s must be less than or equal to %d"
                          % (path, high))
        if value < low:
            raise Invalid("%s must be greater than or equal to %d"
                          % (path, low))
        return value
    return validate


def anything(value, _path):
    return value


def list_of(item):
    def validate(value, path):
        if not isinstance(value, list):
            raise Invalid("%s must be an array" % path)
        return [item(element, "%s[%d]" % (path, index))
                for index, element in enumerate(value)]
    return validate


def record(fields, required=(), nullable=False):
    """An object with no other keys than fields."""
    def validate(value, path):
        if value is None:
            return null_value(nullable, path)
        if not isinstance(value, dict):
            raise Invalid("%s must be an object" % path)
        messages = []
        unknown = [key for key in value if key not in fields]
        if unknown:
            messages.append("%s contains unknown properties: %s"
                            % (path, ", ".join(unknown)))
        messages += ["%s.%s must be defined" % (path, key)
                     for key in required if key not in value]
        clean = {}
        for key in fields:
            try:
                if key in value:
                    clean[key] = fields[key](value[key], path + "." + key)
            except Invalid as fault:
                messages += fault.args
        if messages:
            raise Invalid(*messages)
        return clean
    return validate


def email_fault(value):
    label = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    pattern = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@" + label
    if re.fullmatch(pattern + r"(?:\." + label + ")*", value):
        return None
    return "must be a valid email"


def url_fault(value):
    if re.search(r"\s", value):
        return "must not contain spaces"
    try:
        parts = urllib.parse.urlsplit(value)
    except ValueError:
        return "is not a valid URL"
    if not parts.scheme:
        return "is not a valid URL"
    if parts.scheme in ("http", "https") and not web_host_parses(parts):
        return "is not a valid URL"
    return None


def web_host_parses(parts):
    """Whether a browser's parser takes host and port: WHATWG's standard."""
    authority = parts.netloc.rpartition("@")[2]
    host, _colon, port = authority.partition(":")
    if authority.startswith("["):
        host, _bracket, rest = authority[1:].partition("]")
        port = rest[1:]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return False
        if rest[:1] not in ("", ":"):
            return False
    elif not name_parses(urllib.parse.unquote(host)):
        return False
    return not port or (port.isascii() and port.isdigit()
                        and int(port) <= 65535)


def name_parses(host):
    """Whether a host's name is one, or the IPv4 address that it looks like."""
    if not host or re.search("[\0-\x20#%/:<>?@\\\\^|\x7f]", host):
        return False
    labels = host.lower().split(".")
    for label in labels:
        if label.startswith("xn--"):
            try:
                label[4:].encode("ascii").decode("punycode")
            except ValueError:
                return False
            if not label[4:] or label.endswith("-"):
                return False
    if labels[-1] == "" and len(labels) > 1:
        labels.pop()
    if not re.fullmatch("[0-9]+|0x[0-9a-f]*", labels[-1]):
        return True
    if len(labels) > 4:
        return False
    try:
        numbers = [ipv4_number(label) for label in labels]
    except ValueError:
        return False
    return (all(number <= 255 for number in numbers[:-1])
            and numbers[-1] < 256 ** (5 - len(numbers)))


def ipv4_number(label):
    """A part of an IPv4 address: decimal, octal or hexadecimal."""
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    if not label.isdigit():
        raise ValueError(label)
    return int(label, 8) if len(label) > 1 and label[0] == "0" else int(label)


def base64_fault(value):
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return "must be a valid base64 string"
    return None


def uuid_fault(value):
    pattern = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    if re.fullmatch(pattern, value.lower()):
        return None
    return "must be a valid UUID"


def non_empty(value):
    return None if value else "must not be empty"


def levels(value):
    """How deeply a JSON value is nested: 0 for what is no container."""
    deepest = 0
    todo = [(value, 1)]
    while todo:
        item, depth = todo.pop()
        if isinstance(item, (dict, list)):
            deepest = max(deepest, depth)
            parts = item.values() if isinstance(item, dict) else item
            todo += [(part, depth + 1) for part in parts]
    return deepest


def storable(value, depth=1):
    """False for what the real server's database refuses: NUL characters,
    half surrogate pairs, and documents nested too deeply."""
    if isinstance(value, str):
        return "\0" not in value and not re.search("[\ud800-\udfff]", value)
    if isinstance(value, (dict, list)):
        if depth > MAX_JSON_DEPTH:
            return False
        parts = value
        if isinstance(value, dict):
            parts = [*value.keys(), *value.values()]
        return all(storable(part, depth + 1) for part in parts)
    return True


def parse_json(text):
    """Parses as JavaScript does: big integers lose their low digits, and
    a key __proto__ vanishes.  Raises ValueError."""
    def js_integer(digits):
        number = int(digits) if len(digits) < 400 else float("inf")
        if abs(number) <= MAX_SAFE_INTEGER:
            return number
        number = float(number)
        return int(number) if abs(number) < 1e21 else number

    def js_object(pairs):
        return {key: value for key, value in pairs if key != "__proto__"}

    def no_constant(name):
        raise ValueError(name)

    return json.loads(text, parse_int=js_integer,
                      parse_constant=no_constant,
                      object_pairs_hook=js_object)
