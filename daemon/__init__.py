"""The process: configuration, journal and archive, sockets, composition root.

`daemon.open_pipeline(path)` opens a data directory without sockets (design 10).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daemon.application import open_pipeline as open_pipeline


def __getattr__(name: str) -> Any:  # noqa: ANN401 (PEP 562; the application is costly to import)
    if name == "open_pipeline":
        from daemon.application import open_pipeline  # noqa: PLC0415

        return open_pipeline
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
