"""What the daemon decides by, read from the configuration: kinds, lifecycles, roles and policy.

Promise:  nothing of a wrong configuration or lifecycle file is used; what is wrong is said with
          its file and line, before anything is opened.
Not here: the lifecycles that only the store knows (`actors.engine` reads those).
"""

from pathlib import Path

from actors.rules import Rules
from daemon.configuration import Configuration, assigned_roles, load_kinds
from daemon.errors import ConfigurationError
from protocol.errors import did_you_mean
from protocol.lifecycle.findings import LifecycleError
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.registry import LifecycleRegistry
from protocol.principals import IMPERSONATE, Policy


def load_rules(configuration: Configuration, directory: Path, *, dev: bool = False) -> Rules:
    """Return the rules that `configuration` asks for; paths in it are relative to `directory`.

    Raises:
        ConfigurationError: a file is wrong, or a name in it is none.
    """
    section = configuration.lifecycles
    lifecycles = load_lifecycles(section.files, directory)
    known = lifecycles.names()
    for place, name in (("default", section.default), *_by_kind(configuration)):
        if name not in lifecycles:
            raise ConfigurationError(_unknown(f"lifecycles.{place}", "lifecycle", name, known))
    kinds = load_kinds(configuration, directory)
    for kind in section.by_kind:
        if kind not in kinds.names():
            place = f"lifecycles.by_kind.{kind}"
            raise ConfigurationError(_unknown(place, "kind", kind, kinds.names()))
    rules = Rules(
        kinds=kinds,
        lifecycles=lifecycles,
        lifecycle=section.default,
        lifecycle_by_kind=section.by_kind,
    )
    roles = sorted({*rules.roles, "admin", IMPERSONATE})
    for role in configuration.roles or {}:
        if role not in roles:
            raise ConfigurationError(_unknown(f"roles.{role}", "role", role, roles))
    rules.policy = Policy(
        four_eyes=configuration.policy.four_eyes,
        assertions_count=dev,
        assigned=assigned_roles(configuration),
        everyday=rules.roles,
    )
    return rules


def load_lifecycles(files: list[str], directory: Path) -> LifecycleRegistry:
    """Return the built-in lifecycles and those in `files`."""
    registry = LifecycleRegistry.builtin()
    for name in files:
        path = directory / name
        try:
            registry.add(Lifecycle.read(path.read_bytes(), str(path)))
        except OSError as error:
            message = f"lifecycles.files: {path} cannot be read: {error.strerror}"
            raise ConfigurationError(message) from error
        except LifecycleError as error:
            message = f"lifecycles.files: {path} is wrong; none of it is used\n{error}"
            raise ConfigurationError(message) from error
    return registry


def _by_kind(configuration: Configuration) -> list[tuple[str, str]]:
    by_kind = configuration.lifecycles.by_kind
    return [(f"by_kind.{kind}", name) for kind, name in by_kind.items()]


def _unknown(place: str, what: str, name: str, known: list[str]) -> str:
    near = did_you_mean(name, known)
    hint = f"did you mean {near!r}?" if near else f"known: {', '.join(known)}"
    return f"{place}: there is no {what} {name!r}; {hint}"
