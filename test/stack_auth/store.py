"""Where users and mails are kept, and under what they are found."""

import json
import sqlite3
import threading


class Store:
    """Users and mails, in memory and, if asked, in an SQLite file.

    Callers hold self.lock over a whole change: what is looked up is still
    true when it is put.  Users handed out are not to be modified; put() takes
    a changed copy."""

    def __init__(self, path):
        self.lock = threading.RLock()
        self.users = {}
        self.mails = []
        self.tokens = {}            # access token -> user id
        self.auth_emails = {}       # (project, e-mail) -> user id
        self.oauth_accounts = {}    # (project, provider, account) -> user id
        self.db = sqlite3.connect(path or ":memory:",
                                  check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("CREATE TABLE IF NOT EXISTS record ("
                        "kind TEXT, id TEXT, doc TEXT NOT NULL, "
                        "PRIMARY KEY (kind, id))")
        rows = self.db.execute("SELECT kind, doc FROM record ORDER BY rowid")
        for kind, doc in rows.fetchall():
            if kind == "user":
                user = json.loads(doc)
                self.users[user["id"]] = user
                self._index(user)
            else:
                self.mails.append(json.loads(doc))

    def _write(self, sql, *values):
        with self.db:
            self.db.execute(sql, values)

    def _keys(self, user):
        """Every (index, key) under which the user is found."""
        project = user["project_id"]
        for channel in user["contact_channels"]:
            if channel["used_for_auth"]:
                yield self.auth_emails, (project, channel["value"])
        for account in user["oauth_providers"]:
            yield self.oauth_accounts, (
                project, account["provider_config_id"],
                account["account_id"])

    def _index(self, user):
        for index, key in self._keys(user):
            index[key] = user["id"]

    def _unindex(self, user):
        for index, key in self._keys(user):
            index.pop(key, None)

    def put(self, user):
        self._write("INSERT OR REPLACE INTO record VALUES ('user', ?, ?)",
                    user["id"], json.dumps(user))
        if user["id"] in self.users:
            self._unindex(self.users[user["id"]])
        self.users[user["id"]] = user
        self._index(user)

    def delete(self, user_id):
        self._write("DELETE FROM record WHERE kind = 'user' AND id = ?",
                    user_id)
        self._unindex(self.users.pop(user_id))

    def add_mail(self, mail):
        self._write("INSERT INTO record VALUES ('mail', ?, ?)",
                    mail["id"], json.dumps(mail))
        self.mails.append(mail)

    def use_code(self, code):
        """The mail with that code, once: it is marked as used."""
        for mail in self.mails:
            if mail["code"] == code:
                used = mail.get("used", False)
                mail["used"] = True
                return mail, used
        return None, False

    def find(self, project, user_id):
        """The user, or None when the project has no such one."""
        user = self.users.get(user_id.lower())
        if user is None or user["project_id"] != project["id"]:
            return None
        return user

    def clear(self):
        self._write("DELETE FROM record")
        for container in (self.users, self.mails, self.auth_emails,
                          self.oauth_accounts):
            container.clear()
