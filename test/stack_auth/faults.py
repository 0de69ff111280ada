"""Rules that make calls fail, and which of them decides on a call; server.py
has the faults themselves.

A fault rule is an object; the first rule that fires decides:

    kind         429_retry_after, 429, 500_before_commit, 500_after_commit,
                 reset_before_commit, reset_after_commit, half_answer,
                 garbage_body, wrong_content_type, huge_answer, slow,
                 never_answer, recorded
    method, path regular expressions for the whole method and path
                 (default: any)
    body         text that the request's body must contain (default: any)
    skip         leave the first N matching requests alone
    first        then only the next N
    every        of those every Nth
    probability  of those a share, drawn from "seed": the nth matching
                 request has the same fate in every run
    seconds      for slow (default 1) and never_answer (default 3600)
    retry_after  for 429_retry_after, seconds (default 1)
    answer       for recorded: status, headers and body of what is answered
                 in place of the request
    bytes        for huge_answer (default 200 MB)
    when         before or after the commit: slow (default before),
                 never_answer (default after)
"""

import json
import random
import re
import threading


class FaultRule:
    """One rule, with how often it matched and fired."""

    KINDS = ("429_retry_after", "429", "500_before_commit",
             "500_after_commit", "reset_before_commit", "reset_after_commit",
             "half_answer", "garbage_body", "wrong_content_type",
             "huge_answer", "slow", "never_answer", "recorded")
    DEFAULTS = {"kind": None, "method": ".*", "path": ".*", "body": "",
                "skip": 0,
                "first": None, "every": 1, "probability": 1.0, "seed": 0,
                "seconds": None, "answer": None, "retry_after": 1, "when": None,
                "bytes": 200 * 1000 * 1000}

    def __init__(self, rule):
        """Raises ValueError when the rule is not one."""
        unknown = set(rule) - set(self.DEFAULTS)
        if unknown or rule.get("kind") not in self.KINDS:
            raise ValueError("bad fault rule: %s" % json.dumps(rule))
        self.rule = dict(self.DEFAULTS, **rule)
        kind = rule["kind"]
        if self.rule["seconds"] is None:
            self.rule["seconds"] = 3600 if kind == "never_answer" else 1
        if self.rule["when"] is None:
            before = (kind in ("slow", "recorded")
                      or kind.startswith("429"))
            before = before or kind.endswith("before_commit")
            self.rule["when"] = "before" if before else "after"
        movable = kind in ("slow", "never_answer")
        if (self.rule["when"] not in ("before", "after")
                or ("when" in rule and not movable)
                or self.rule["every"] < 1):
            raise ValueError("bad fault rule: %s" % json.dumps(rule))
        try:
            self.method = re.compile(self.rule["method"])
            self.path = re.compile(self.rule["path"])
        except re.error as fault:
            raise ValueError("bad fault rule: %s" % fault) from None
        self.random = random.Random(self.rule["seed"])
        self.matched = 0
        self.fired = 0

    def __getitem__(self, name):
        return self.rule[name]

    def decide(self, method, path, body):
        """Whether the rule would fire for this request."""
        if not (self.method.fullmatch(method) and self.path.fullmatch(path)
                and self.rule["body"] in body):
            return False
        self.matched += 1
        # Drawn for each match, so that the nth draw is the nth request's.
        lucky = self.random.random() < self.rule["probability"]
        number = self.matched - self.rule["skip"]
        if number < 1 or number % self.rule["every"]:
            return False
        return lucky and (self.rule["first"] is None
                          or number <= self.rule["first"])

    def describe(self):
        return dict(self.rule, matched=self.matched, fired=self.fired)


class Faults:
    """The rules in force."""

    def __init__(self, rules):
        self.lock = threading.Lock()
        self.set(rules)

    def set(self, rules):
        """Raises ValueError and changes nothing when a rule is bad."""
        if not isinstance(rules, list):
            raise ValueError("fault rules must be an array")
        made = [FaultRule(rule) for rule in rules]
        with self.lock:
            self.rules = made

    def choose(self, method, path, body):
        """The rule that decides on this request, or None."""
        with self.lock:
            firing = [r for r in self.rules if r.decide(method, path, body)]
            if not firing:
                return None
            firing[0].fired += 1
            return firing[0]

    def describe(self):
        with self.lock:
            return [rule.describe() for rule in self.rules]
