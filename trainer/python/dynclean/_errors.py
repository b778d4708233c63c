"""Errors, with advice for the user."""


class DynCleanError(ValueError):
    """Input that cannot be used. The message names the file or record, and says what to do."""
