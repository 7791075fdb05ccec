"""One measured window: so many clients, one server, a few seconds."""

import msgspec


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured. `behind_s`: how long the archive took after the last reply.

    `events`: all that the daemon made, the warm-up's included; 0 of the echo.
    """

    clients: int
    commands: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    cpu_s: float
    behind_s: float
    events: int
    lost_wakeups: int

    @property
    def commands_per_s(self) -> float:
        """The throughput."""
        return self.commands / self.duration_s

    @property
    def cpu_us(self) -> float:
        """The server's CPU per command."""
        return self.cpu_s / self.commands * 1e6
