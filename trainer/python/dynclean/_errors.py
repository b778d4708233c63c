"""What goes wrong, and what a user can do about it."""


class DynCleanError(ValueError):
    """Input that cannot be used. The message names the file or record, and the remedy."""
