"""A stand-in Databricks workspace, account, object storage of results and Entra login, on loopback.

It answers the REST APIs as the service does (see README.md for what is faithful and what is not) and needs nothing
but Python 3.11. `python -m workspace --help` tells how to run it; `/_standin/` is where a test steers it.
"""
