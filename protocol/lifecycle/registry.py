"""The lifecycles that a daemon knows, by `id@version`."""

from importlib.resources import files
from typing import Final, Self

from protocol.errors import NotFoundError
from protocol.lifecycle.lifecycle import Lifecycle

DEFAULT_LIFECYCLE: Final = "manifest@1"


class LifecycleRegistry:
    """The lifecycles that a daemon knows, by `id@version`."""

    def __init__(self, lifecycles: list[Lifecycle]) -> None:
        self._lifecycles = {lifecycle.name: lifecycle for lifecycle in lifecycles}

    @classmethod
    def builtin(cls) -> Self:
        """Return a registry of the lifecycles that come with manifestd."""
        text = files("protocol").joinpath("lifecycles", f"{DEFAULT_LIFECYCLE}.toml").read_text()
        return cls([Lifecycle.from_toml(text, DEFAULT_LIFECYCLE)])

    def names(self) -> list[str]:
        """Return the names of all lifecycles, sorted."""
        return sorted(self._lifecycles)

    def get(self, name: str) -> Lifecycle:
        """Return the lifecycle `id@version`; `NotFoundError` names the known ones."""
        try:
            return self._lifecycles[name]
        except KeyError:
            message = f"there is no lifecycle {name!r}; known: {', '.join(self.names())}"
            raise NotFoundError(message, path="/lifecycle") from None
