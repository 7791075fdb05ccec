"""What `make torture` is made of, and the numbers that it has to reach in 60 minutes."""

from typing import Final, NamedTuple


class Need(NamedTuple):
    """What is counted, and how many there are to be in 60 minutes (None: all that there are).

    `of_a_round`: how many one seed gives.
    """

    what: str
    number: int | None = None
    of_a_round: int = 1


class Part(NamedTuple):
    """One long test; `cost_s`: how long it takes while another one has the other processor.

    `processes` go through its cases together.
    """

    name: str
    test: str
    needs: tuple[Need, ...]
    cost_s: float
    processes: int = 1


CALLS: Final = "tests/crash/process/test_every_call.py"
DAMAGE: Final = "tests/crash/store/test_any_damage.py"
POWER: Final = "tests/end_to_end/test_power_cut.py"
PARTS: Final = (
    Part(
        "killed at every call",
        f"{CALLS}::test_killed_at_every_call_the_daemon_keeps_its_word",
        (Need("kill points"),),
        350,
    ),
    Part(
        "failed syncs and renames",
        f"{CALLS}::test_after_every_failed_sync_or_rename_the_daemon_ends_and_keeps_its_word",
        (Need("failed syncs and renames"),),
        350,
    ),
    Part(
        "failed writes",
        f"{CALLS}::test_after_any_failed_write_the_daemon_ends_and_keeps_its_word",
        (Need("failed writes"),),
        250,
    ),
    Part(
        "other failed calls",
        f"{CALLS}::test_after_any_other_failed_call_the_daemon_ends_or_goes_on_and_keeps_its_word",
        (Need("other failed calls"),),
        140,
    ),
    Part(
        "writes without room",
        f"{CALLS}::test_without_room_for_any_write_the_daemon_stays_and_keeps_its_word",
        (Need("writes without room"),),
        280,
    ),
    Part(
        "short writes",
        f"{CALLS}::test_any_write_may_take_a_part_and_refuse_the_rest",
        (Need("short writes"),),
        130,
    ),
    Part(
        "starts killed at every call",
        "tests/crash/process/test_recovery_interrupted.py::test_recovery_may_be_killed_at_any_call",
        (Need("kill points of a start"),),
        80,
    ),
    Part(
        "kills under load",
        "tests/end_to_end/test_kill.py"
        "::test_killed_at_two_hundred_moments_the_daemon_keeps_every_word_it_gave",
        (Need("kills under load", 200, 4),),
        230,
    ),
    Part(
        "power cuts on ext4",
        f"{POWER}::test_after_many_power_cuts_every_acknowledgement_holds[ext4]",
        (Need("power cuts on ext4", 25, 5),),
        40,
    ),
    Part(
        "power cuts on xfs",
        f"{POWER}::test_after_many_power_cuts_every_acknowledgement_holds[xfs]",
        (Need("power cuts on xfs", 25, 5),),
        40,
    ),
    Part(
        "flipped bits",
        f"{DAMAGE}::test_every_flipped_bit_of_every_file_is_mended_or_refused",
        (Need("flipped bits of a store"),),
        2600,
        processes=3,
    ),
    Part(
        "other damages",
        f"{DAMAGE}::test_many_damages_of_other_kinds_are_mended_or_refused",
        (Need("damages of other kinds", 3_000, 55),),
        240,
    ),
    Part(
        "crash states",
        "tests/crash/store/test_crash_states.py"
        "::test_from_thousands_of_disks_start_up_finds_what_was_acknowledged",
        (Need("crash states", 10_000, 900), Need("crash states of a recovery", 5_000, 700)),
        180,
    ),
    Part(
        "starts that mend, interrupted",
        "tests/crash/store/test_mending_interrupted.py"
        "::test_many_mendings_that_lose_their_power_are_done_by_the_next_start",
        (Need("crash states of a start that mends damage", 5_000, 340),),
        65,
    ),
    Part(
        "histories",
        "tests/end_to_end/test_linearizability.py"
        "::test_long_histories_are_linearizable_across_many_crashes",
        (Need("operations in histories", 20_000, 6_000),),
        20,
    ),
    Part(
        "system-call traces",
        "tests/crash/process/test_said_before_synced.py"
        "::test_of_thousands_of_events_none_is_said_before_its_sync_returned",
        (Need("acknowledgements traced", 4_000, 1_000),),
        30,
    ),
    Part(
        "fuzzed bytes",
        "tests/crash/fuzz/test_stored_bytes.py"
        "::test_thousands_of_changed_bytes_are_the_truth_or_refused",
        (Need("fuzzed bytes", 25_000, 1_000),),
        50,
    ),
    Part(
        "fuzzed files of people",
        "tests/crash/fuzz/test_files_of_people.py"
        "::test_thousands_of_badly_written_files_are_read_or_refused",
        (Need("fuzzed files", 25_000, 1_000),),
        70,
    ),
)
