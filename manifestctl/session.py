"""What a verb works with: its arguments, a client that is opened when needed, the output."""

import sys
from argparse import Namespace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from manifestctl.output import Output
from manifestctl.requests import WriteOptions, fresh_id
from protocol.canonical import strict_loads
from protocol.errors import BadRequestError, ManifestdError

if TYPE_CHECKING:
    from manifestctl.sync_client import SyncClient


class UsageError(ManifestdError):
    """The command line cannot be carried out as it stands; the exit status is 2."""


class Session:
    """One run of a verb."""

    def __init__(self, arguments: Namespace, output: Output) -> None:
        self.arguments: Any = arguments
        self.output = output

    @cached_property
    def client(self) -> "SyncClient":
        """The client, opened when it is first asked for."""
        from manifestctl.retry import RetryPolicy  # noqa: PLC0415 (as below)
        from manifestctl.sync_client import SyncClient  # noqa: PLC0415 (ZeroMQ takes 25 ms)

        arguments = self.arguments
        policy = RetryPolicy()
        if arguments.timeout:
            policy = policy.within(arguments.timeout)
        return SyncClient(arguments.commands, arguments.events, retry=policy)

    def __enter__(self) -> Self:
        """Return the session, which `with` closes."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client, if there is one."""
        if "client" in self.__dict__:
            self.client.close()

    def write_options(self) -> WriteOptions:
        """Return what every write takes, from the command line; `--as` is the principal."""
        arguments = self.arguments
        return WriteOptions(
            command_id=arguments.command_id or fresh_id(),
            expected_version=arguments.expected_version,
            principal=arguments.principal,
            correlation_id=arguments.correlation_id,
            causation_id=arguments.causation_id,
            traceparent=arguments.traceparent,
            dry_run=arguments.dry_run,
        )

    def context(self) -> dict[str, Any] | None:
        """Return `--context`, a JSON object."""
        if self.arguments.context is None:
            return None
        value = strict_loads(self.arguments.context.encode())
        if not isinstance(value, dict):
            message = '--context takes a JSON object, such as \'{"ticket": "A-1"}\''
            raise UsageError(message)
        return value

    def document(self, name: str) -> msgspec.Raw:
        """Return the JSON document in the file `name`; `-` is standard input."""
        try:
            data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except OSError as error:
            message = f"cannot read {name}: {error.strerror}"
            raise UsageError(message) from error
        try:
            strict_loads(data)
        except BadRequestError as error:
            shown = "standard input" if name == "-" else name
            hint = None
            if name.endswith((".yaml", ".yml")) or data.startswith((b"---", b"%YAML")):
                hint = "it looks like YAML; only JSON is taken: yq -o json . FILE"
            message = f"{shown}: {error.message}"
            raise BadRequestError(message, suggestion=hint) from error
        return msgspec.Raw(data)
