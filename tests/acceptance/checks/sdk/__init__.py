"""The parts of the check workspace_sdk, one file per kind of API."""
