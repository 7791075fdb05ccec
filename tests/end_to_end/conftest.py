"""The fixture that users of manifestctl get, for our own tests."""

from manifestctl.testing import daemon

__all__ = ["daemon"]
