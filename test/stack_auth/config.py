"""What may be set, and what holds where nothing is: the server's settings,
and the projects with theirs.
"""

import copy

PROVIDERS = ["apple", "bitbucket", "discord", "facebook", "github", "gitlab",
             "google", "linkedin", "microsoft", "spotify", "twitch", "x"]

# What --config is merged into.  The keys are those of the recordings.
PROJECT_DEFAULTS = {
    "display_name": "ftmigrate",
    "server_key": None,
    "client_key": None,
    "admin_key": None,
    "branches": ["main"],
    "credential_enabled": True,
    "magic_link_enabled": True,
    "sign_up_enabled": True,
    "passkey_enabled": False,
    "client_team_creation_enabled": False,
    "client_user_deletion_enabled": False,
    "allow_user_api_keys": False,
    "allow_team_api_keys": False,
    "allow_localhost": False,
    "require_email_verification": False,
    "enabled_oauth_providers": PROVIDERS,
    "domains": [{"domain": "https://app.example.com",
                 "handler_path": "/handler"}],
}
# What changed when Stack Auth became Hexclave: the code of a taken e-mail, the
# paging of lists, the names of headers, some keys.
CONTRACTS = ("stack_auth", "hexclave")
DEFAULT_CONFIG = {
    "contract": "stack_auth",
    # Whether the new contract has what only its source shows, too: further
    # keys, answers' headers under both names, HTML where there is no path.
    "unrecorded": True,
    # Whether the header x-hexclave-idempotency-key is heeded.
    "idempotency_keys": False,
    # Seconds of one thread that creating or deleting a user takes.
    "busy_seconds": 0.0,
    # The real server tries a colliding insert four times, with pauses.
    "oauth_collision_seconds": 7.0,
    # How long a reset for an unknown e-mail takes, so as not to tell.
    "unknown_email_seconds": 2.5,
    "keep_alive_seconds": 5.0,
    "framing": "chunked",       # or "length": a Content-Length header
    "projects": {
        "11111111-1111-4111-8111-111111111111": {
            "display_name": "ftmigrate target",
            "server_key": "ssk_ftmigrate_target_local_only",
            "client_key": "pck_ftmigrate_target_local_only",
            "admin_key": "sak_ftmigrate_target_local_only",
        },
        "22222222-2222-4222-8222-222222222222": {
            "display_name": "ftmigrate strict",
            "server_key": "ssk_ftmigrate_strict_local_only",
            "client_key": "pck_ftmigrate_strict_local_only",
            "admin_key": "sak_ftmigrate_strict_local_only",
            "credential_enabled": False,
            "magic_link_enabled": False,
            "enabled_oauth_providers": [],
        },
    },
}


def is_all_new(config):
    return config["contract"] == "hexclave" and config["unrecorded"]


def check_settings(settings):
    unknown = set(settings) - set(PROJECT_DEFAULTS)
    if unknown:
        raise ValueError("unknown project settings: %s"
                         % ", ".join(sorted(unknown)))


def merge_config(given):
    """Given settings win; a project that is given by a known id is merged
    with that project's defaults, null takes it away."""
    config = copy.deepcopy(DEFAULT_CONFIG)
    unknown = set(given) - set(config)
    if unknown:
        raise ValueError("unknown settings: %s" % ", ".join(sorted(unknown)))
    projects = config["projects"]
    for project_id, settings in given.get("projects", {}).items():
        check_settings(settings or {})
        projects[project_id] = dict(projects.get(project_id, {}),
                                    **(settings or {}))
        if settings is None:
            del projects[project_id]
    config.update(given, projects=projects)
    if config["contract"] not in CONTRACTS:
        raise ValueError("unknown contract: %s" % config["contract"])
    return config
