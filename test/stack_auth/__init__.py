"""What test/stack_auth_server.py is made of, lowest first.

    config          what may be set, and the projects there are by default
    values          times, codes and e-mails
    answers         answers other than success
    validation      what values of requests are checked with
    schemas         what each request may contain
    credentials     passwords and one-time codes
    users           a user: as it is kept, and as the API shows it
    store           all users, in memory and in the state file
    endpoints       what endpoints have in common
    user_endpoints, channel_endpoints, oauth_endpoints, sign_in_endpoints
                    the calls of the API
    api             who may call which of them
    faults          rules that make calls fail
    journal         what was asked and answered
    server          HTTP, the faults on the wire, the tests' own paths
"""
