"""How a process may end on a `FaultyDisk`, and what the next one finds: each gives that disk."""

from collections.abc import Callable
from typing import Final

from tests.support.faulty_disk import FaultyDisk, everything, only_durable, torn_after

CRASHES: Final[dict[str, Callable[[FaultyDisk], FaultyDisk]]] = {
    "killed": lambda disk: disk.after_kill(),
    "power_cut": lambda disk: disk.after_power_cut(only_durable),
    "power_cut_names_survive": lambda disk: disk.after_power_cut(only_durable, names_survive=True),
    "power_cut_all_survives": lambda disk: disk.after_power_cut(everything, names_survive=True),
    "power_cut_torn": lambda disk: disk.after_power_cut(torn_after(700), names_survive=True),
}
