"""The configuration: defaults < `manifestd.toml` < `MANIFESTD_SECTION__KEY` < flags; strict.

Promise:  a key that nobody reads is an error that names the nearest one that somebody does. What
          is wrong is said with the file or variable it stands in, before anything is opened.

    [daemon]  data_dir, commands, events, log_level
    [policy]  four_eyes
    [identity] names = { "1000" = "alice" }, impersonators = ["root"]
    [roles]   approver = ["alice", "bob"]           the first assignment ends "everybody may"
    [store]   feed_retention_age = "90d", feed_retention_events, feed_retention_bytes, segment_bytes
    [kinds.plugin] schema = "plugin.json", urn = "{name}@{version}", validation = "full"
    [limits]  connections, in_flight, in_flight_bytes, rate = "100/s", burst; [limits.principals.ci] rate, burst
    [lifecycles] files = ["review.toml"], default = "manifest@1", by_kind = { agent = "review@1" }

Not here: what the files that it names hold, and whether its roles exist (`rulebook.py`).
"""

import os
import pwd
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from daemon.admission import IN_FLIGHT_BYTES_MAX, IN_FLIGHT_MAX
from daemon.connections import CONNECTIONS_MAX
from daemon.errors import ConfigurationError
from daemon.journal.retention import Retention
from daemon.journal.segment import SEGMENT_SIZE_BYTES
from daemon.rate_limit import Allowance, RateError, RateLimit
from daemon.settings import StoreSettings
from protocol.endpoints import COMMANDS, EVENTS, SERVICE_DIRECTORY, ipc_endpoint
from protocol.errors import BadRequestError, did_you_mean
from protocol.kinds import Kind, KindError, KindRegistry, Validation
from protocol.lifecycle.delays import DelayError, parse_delay_ms
from protocol.lifecycle.registry import DEFAULT_LIFECYCLE
from protocol.limits import REQUEST_SIZE_MAX
from protocol.principals import IMPERSONATE, check_name

ENVIRONMENT_PREFIX: Final = "MANIFESTD_"
UNLIMITED: Final = "unlimited"

Count = Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)]


class DaemonSection(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where the daemon works and listens."""

    data_dir: str = "/var/lib/manifestd"
    commands: list[str] = msgspec.field(
        default_factory=lambda: [ipc_endpoint(SERVICE_DIRECTORY, COMMANDS)]
    )
    events: list[str] = msgspec.field(
        default_factory=lambda: [ipc_endpoint(SERVICE_DIRECTORY, EVENTS)]
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class PolicySection(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the operator demands beyond the lifecycle."""

    four_eyes: bool = True


class StoreSection(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How far the feed reaches back; by default to the first event. Whichever limit is passed first
    decides. `segment_bytes`: the size of the pieces in which the journal is kept and removed.
    """

    feed_retention_events: Annotated[int, msgspec.Meta(ge=1)] | None = None
    feed_retention_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    feed_retention_age: str | None = None
    segment_bytes: Annotated[int, msgspec.Meta(ge=4096, le=SEGMENT_SIZE_BYTES)] = SEGMENT_SIZE_BYTES


class IdentitySection(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`names`: uid to principal. `impersonators`: users who may speak for others."""

    names: dict[str, str] = msgspec.field(default_factory=dict)
    impersonators: list[str] | None = None


class KindSection(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A kind of the operator's own; `schema` is a path, relative to the configuration file."""

    schema: str | None = None
    urn: str = "{name}@{version}"
    validation: Validation = Validation.FULL


class PrincipalSection(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How often one principal may write; `rate` may be "unlimited"."""

    rate: str
    burst: Count | None = None


class LimitsSection(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is let in: requests under way at once, and writes of each principal, such as "100/s"."""

    connections: Count = CONNECTIONS_MAX
    in_flight: Count = IN_FLIGHT_MAX
    in_flight_bytes: Annotated[int, msgspec.Meta(ge=2 * REQUEST_SIZE_MAX)] = IN_FLIGHT_BYTES_MAX
    rate: str | None = None
    burst: Count | None = None
    principals: dict[str, PrincipalSection] = msgspec.field(default_factory=dict)


class LifecyclesSection(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`files`: lifecycles of the operator's own, paths relative to the configuration file.

    New manifests get the lifecycle that `by_kind` names for their kind, else the `default`.
    """

    files: list[str] = msgspec.field(default_factory=list)
    default: str = DEFAULT_LIFECYCLE
    by_kind: dict[str, str] = msgspec.field(default_factory=dict)


class Configuration(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    daemon: DaemonSection = msgspec.field(default_factory=DaemonSection)
    policy: PolicySection = msgspec.field(default_factory=PolicySection)
    store: StoreSection = msgspec.field(default_factory=StoreSection)
    identity: IdentitySection = msgspec.field(default_factory=IdentitySection)
    roles: dict[str, list[str]] | None = None
    kinds: dict[str, KindSection] = msgspec.field(default_factory=dict)
    limits: LimitsSection = msgspec.field(default_factory=LimitsSection)
    lifecycles: LifecyclesSection = msgspec.field(default_factory=LifecyclesSection)


def load_configuration(file: Path | None, environment: Mapping[str, str]) -> Configuration:
    """Read `file` and the environment's variables over the defaults.

    Raises:
        ConfigurationError: with the file or variable, the key, and what to write instead.
    """
    tables = {} if file is None else _read_toml(file)
    configuration = _converted(tables, "the defaults" if file is None else str(file))
    for variable, value in sorted(environment.items()):
        if variable.startswith(ENVIRONMENT_PREFIX):
            _assign(tables, variable, value)
            configuration = _converted(tables, variable)  # Good before: this one is to blame.
    if not configuration.roles:
        configuration.roles = None  # A bare [roles] assigns nothing yet.
    return configuration


def _converted(tables: Mapping[str, Any], source: str) -> Configuration:
    _check_names(tables, source)
    try:
        configuration = msgspec.convert(tables, Configuration)
    except msgspec.ValidationError as error:
        message = f"{source}: {error}"
        raise ConfigurationError(message) from error
    _check_values(configuration, source)
    return configuration


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}; create it, or leave --config out"
        raise ConfigurationError(message) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"{file} is not TOML: {error}"
        raise ConfigurationError(message) from error


def _sections() -> dict[str, type[msgspec.Struct] | None]:
    return {
        "daemon": DaemonSection,
        "policy": PolicySection,
        "store": StoreSection,
        "identity": IdentitySection,
        "roles": None,
        "kinds": None,
        "limits": LimitsSection,
        "lifecycles": LifecyclesSection,
    }


def _check_names(tables: Mapping[str, Any], source: str) -> None:
    sections = _sections()
    for name, table in tables.items():
        if name not in sections:
            raise ConfigurationError(_unknown(source, f"[{name}]", name, list(sections)))
        if not isinstance(table, dict):
            message = f"{source}: {name} is a table; write [{name}] and its keys below it"
            raise ConfigurationError(message)
        known = _keys(sections[name])
        for key in table if known is not None else ():
            if key not in (known or ()):
                raise ConfigurationError(_unknown(source, f"{name}.{key}", key, known or []))
    _check_members(tables.get("kinds", {}), "kinds", KindSection, source)
    principals = tables.get("limits", {}).get("principals", {})
    if isinstance(principals, dict):  # Else the conversion says so.
        _check_members(principals, "limits.principals", PrincipalSection, source)


def _check_members(
    tables: Mapping[str, Any], place: str, section: type[msgspec.Struct], source: str
) -> None:
    """Check a table of tables that are all of one kind."""
    known = _keys(section) or []
    for name, table in tables.items():
        if not isinstance(table, dict):
            message = (
                f"{source}: {place}.{name} is a table; write [{place}.{name}] and its keys below"
            )
            raise ConfigurationError(message)
        for key in table:
            if key not in known:
                raise ConfigurationError(_unknown(source, f"{place}.{name}.{key}", key, known))


def _keys(section: type[msgspec.Struct] | None) -> list[str] | None:
    return None if section is None else [field.name for field in msgspec.structs.fields(section)]


def _unknown(source: str, place: str, name: str, known: list[str]) -> str:
    near = did_you_mean(name, known)
    hint = f"did you mean {near!r}?" if near else f"known: {', '.join(known)}"
    return f"{source}: there is no setting {place}; {hint}"


def _assign(tables: dict[str, Any], variable: str, value: str) -> None:
    """Put `MANIFESTD_SECTION__KEY=value` into the tables; the value is TOML, or plain text."""
    section, _, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
    sections = _sections()
    if section not in sections or not key:
        known = [f"{ENVIRONMENT_PREFIX}{name.upper()}__…" for name in sections]
        near = did_you_mean(variable, known) or known[0]
        message = f"the variable {variable} sets nothing; the form is {near}"
        raise ConfigurationError(message)
    known_keys = _keys(sections[section])
    if known_keys is not None and key not in known_keys:
        raise ConfigurationError(_unknown(variable, f"{section}.{key}", key, known_keys))
    tables.setdefault(section, {})[key] = _parsed(section, key, value)


def _parsed(section: str, key: str, value: str) -> Any:  # noqa: ANN401 (any TOML value)
    """Return a variable's value: as TOML where that is what the key takes, else as it is."""
    try:
        document = tomllib.loads(f"value = {value}")
    except (tomllib.TOMLDecodeError, RecursionError):
        document = {}
    parsed = document["value"] if document.keys() == {"value"} else value
    if (section, key) in _LISTS or section == "roles":
        if isinstance(parsed, list):
            return parsed
        return [item.strip() for item in value.split(",") if item.strip()]
    # A folder may be called `12` or `true`.
    return value if (section, key) in _TEXTS and not isinstance(parsed, str) else parsed


_LISTS: Final = {
    ("daemon", "commands"),
    ("daemon", "events"),
    ("identity", "impersonators"),
    ("lifecycles", "files"),
}
_TEXTS: Final = {
    ("daemon", "data_dir"),
    ("daemon", "log_level"),
    ("lifecycles", "default"),
    ("limits", "rate"),
    ("store", "feed_retention_age"),
}


def _check_values(configuration: Configuration, source: str) -> None:
    """Raise for values of the right type that cannot be meant."""
    daemon = configuration.daemon
    if not Path(daemon.data_dir).is_absolute():
        message = f"{source}: daemon.data_dir: {daemon.data_dir!r} is not an absolute path"
        raise ConfigurationError(message)
    for key, endpoints in (("commands", daemon.commands), ("events", daemon.events)):
        if not endpoints:
            message = f"{source}: daemon.{key} is empty; leave it out for the default"
            raise ConfigurationError(message)
    try:
        store_settings(configuration)
    except DelayError as error:
        message = f"{source}: store.feed_retention_age: {error}"
        raise ConfigurationError(message) from error
    for role, names in (configuration.roles or {}).items():
        for name in names:
            _check_principal(name, f"{source}: roles.{role}")
    for uid, name in configuration.identity.names.items():
        if not (uid.isascii() and uid.isdecimal()):
            message = f'{source}: identity.names.{uid}: the key is a uid, such as "1000"'
            raise ConfigurationError(message)
        _check_principal(name, f"{source}: identity.names.{uid}")
    _check_limits(configuration.limits, source)


def _check_limits(limits: LimitsSection, source: str) -> None:
    if limits.burst is not None and limits.rate is None:
        message = f"{source}: limits.burst says how much of a rate comes at once; give limits.rate"
        raise ConfigurationError(message)
    for name in limits.principals:
        _check_principal(name, f"{source}: limits.principals")
    try:
        _allowances(limits)
    except RateError as error:
        message = f"{source}: limits: {error}"
        raise ConfigurationError(message) from error


def _allowances(limits: LimitsSection) -> tuple[Allowance | None, dict[str, Allowance | None]]:
    def allowance(rate: str | None, burst: int | None) -> Allowance | None:
        return None if rate in (None, UNLIMITED) else Allowance.of(rate, burst)

    overrides = {name: allowance(one.rate, one.burst) for name, one in limits.principals.items()}
    return allowance(limits.rate, limits.burst), overrides


def rate_limit(limits: LimitsSection, clock_ns: Callable[[], int]) -> RateLimit | None:
    """Return what counts each principal's writes; None where nobody's are limited."""
    everybody, overrides = _allowances(limits)
    if everybody is None and not any(overrides.values()):
        return None
    return RateLimit(everybody, overrides, clock_ns)


def _check_principal(name: str, place: str) -> None:
    try:
        check_name(name)
    except BadRequestError as error:
        message = f"{place}: {name!r} is no name: {error}"
        raise ConfigurationError(message) from error


def store_settings(configuration: Configuration) -> StoreSettings:
    """Return what the store is opened with."""
    store = configuration.store
    age = store.feed_retention_age
    retention = Retention(
        store.feed_retention_events,
        store.feed_retention_bytes,
        None if age is None else parse_delay_ms(age) / 1000,
    )
    return StoreSettings(segment_size_bytes=store.segment_bytes, retention=retention)


def assigned_roles(configuration: Configuration) -> dict[str, frozenset[str]] | None:
    """Return the roles of each principal; None where nobody was assigned any."""
    if configuration.roles is None:
        return None
    names = {name for assigned in configuration.roles.values() for name in assigned}
    return {
        name: frozenset(
            role
            for role, assigned in configuration.roles.items()
            if name in assigned and role != IMPERSONATE
        )
        for name in names
    }


def impersonators(configuration: Configuration) -> frozenset[int]:
    """Return the uids that may speak for others: by default root and the daemon's own user."""
    names = configuration.identity.impersonators
    if names is None:
        return frozenset({0, os.getuid()})
    uids = set()
    for name in names:
        try:
            uids.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            message = f"identity.impersonators: this machine has no user {name!r}"
            raise ConfigurationError(message) from None
    return frozenset(uids)


def load_kinds(configuration: Configuration, directory: Path) -> KindRegistry:
    """Return the built-in kinds and the configured ones, their schemas read and compiled."""
    kinds = []
    for name, section in configuration.kinds.items():
        schema: Any = True
        if section.schema is not None:
            path = directory / section.schema
            try:
                schema = msgspec.json.decode(path.read_bytes())
            except (OSError, msgspec.MsgspecError) as error:
                message = f"kinds.{name}.schema: {path}: {error}"
                raise ConfigurationError(message) from error
        elif section.validation is Validation.FULL:
            message = f'kinds.{name}: give a schema, or set validation = "syntax"'
            raise ConfigurationError(message)
        try:
            kinds.append(Kind(name, schema=schema, urn=section.urn, validation=section.validation))
        except KindError as error:
            raise ConfigurationError(str(error)) from error
    return KindRegistry.builtin().with_kinds(kinds)
