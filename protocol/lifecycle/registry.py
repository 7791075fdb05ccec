"""The lifecycles that a daemon knows, by `id@version`."""

from functools import lru_cache
from importlib.resources import files
from typing import Final, Self

from protocol.errors import NotFoundError
from protocol.lifecycle.findings import LifecycleError
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.principals import ROLES

DEFAULT_LIFECYCLE: Final = "manifest@1"
BUILTIN_LIFECYCLES: Final = (DEFAULT_LIFECYCLE, "manifest-extended@1")


class LifecycleRegistry:
    """The lifecycles that a daemon knows, by `id@version`."""

    def __init__(self, lifecycles: list[Lifecycle]) -> None:
        self._lifecycles = {lifecycle.name: lifecycle for lifecycle in lifecycles}

    @classmethod
    def builtin(cls) -> Self:
        """Return a registry of the lifecycles that come with manifestd."""
        return cls(list(builtin_lifecycles()))

    def add(self, lifecycle: Lifecycle) -> None:
        """Know one more; another definition of a known name is refused.

        Raises:
            LifecycleError: there is one of that name that says something else.
        """
        known = self._lifecycles.setdefault(lifecycle.name, lifecycle)
        if known.to_json() != lifecycle.to_json():
            reason = "there is another definition of that name; give this one a new version"
            raise LifecycleError.of(lifecycle.name, reason, place="version")

    def roles(self) -> frozenset[str]:
        """Return the roles that the lifecycles name."""
        return frozenset(
            role
            for lifecycle in self._lifecycles.values()
            for roles in lifecycle.definition.roles.values()
            for role in roles
        )

    def own_roles(self) -> list[str]:
        """Return the roles that there are only because a lifecycle names them, sorted."""
        return sorted(self.roles().difference(ROLES))

    def __contains__(self, name: object) -> bool:
        return name in self._lifecycles

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


@lru_cache(maxsize=1)
def builtin_lifecycles() -> tuple[Lifecycle, ...]:
    """Return the lifecycles that come with manifestd, read once."""
    folder = files("protocol").joinpath("lifecycles")
    return tuple(
        Lifecycle.read(folder.joinpath(f"{name}.toml").read_text(), f"{name}.toml")
        for name in BUILTIN_LIFECYCLES
    )
