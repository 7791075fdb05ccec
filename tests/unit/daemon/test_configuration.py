"""The configuration: what wins, what is refused, and what the refusal says."""

import os
import pwd
from pathlib import Path

import pytest

from daemon.configuration import (
    Configuration,
    impersonators,
    load_configuration,
    load_kinds,
    rate_limit,
    store_settings,
)
from daemon.errors import ConfigurationError
from daemon.journal.retention import KEEP_EVERYTHING, Retention
from protocol.errors import OverloadedError


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "manifestd.toml"
    file.write_text(text)
    return file


def refusal(file: Path | None, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load_configuration(file, environment or {})
    return str(raised.value)


def test_without_file_and_variables_there_are_defaults() -> None:
    configuration = load_configuration(None, {"HOME": "/root", "MANIFESTCTL_COMMANDS": "x"})

    assert configuration.daemon.data_dir == "/var/lib/manifestd"
    assert configuration.daemon.commands == ["ipc:///run/manifestd/commands"]
    assert configuration.policy.four_eyes
    assert configuration.roles is None


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        '[daemon]\ndata_dir = "/srv/file"\nlog_level = "debug"\n[policy]\nfour_eyes = false\n',
    )
    configuration = load_configuration(file, {"MANIFESTD_DAEMON__DATA_DIR": "/srv/variable"})

    assert configuration.daemon.data_dir == "/srv/variable"
    assert configuration.daemon.log_level == "debug"
    assert not configuration.policy.four_eyes
    assert configuration.daemon.events == ["ipc:///run/manifestd/events"]


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("MANIFESTD_DAEMON__DATA_DIR", "/12", "/12"),
        ("MANIFESTD_DAEMON__DATA_DIR", '"/quoted"', "/quoted"),
        ("MANIFESTD_DAEMON__COMMANDS", "ipc:///a,ipc:///b", ["ipc:///a", "ipc:///b"]),
        ("MANIFESTD_DAEMON__COMMANDS", '["ipc:///a"]', ["ipc:///a"]),
        ("MANIFESTD_POLICY__FOUR_EYES", "false", False),
        ("MANIFESTD_ROLES__APPROVER", "alice, bob", ["alice", "bob"]),
        ("MANIFESTD_ROLES__APPROVER", '["alice"]', ["alice"]),
        ("MANIFESTD_ROLES__APPROVER", "1000", ["1000"]),
        ("MANIFESTD_IDENTITY__NAMES", '{ "1000" = "alice" }', {"1000": "alice"}),
        ("MANIFESTD_IDENTITY__IMPERSONATORS", "root", ["root"]),
    ],
)
def test_a_variable_is_toml_or_plain_text(variable: str, value: str, expected: object) -> None:
    configuration = load_configuration(None, {variable: value})

    section, key = variable.removeprefix("MANIFESTD_").lower().split("__")
    table = getattr(configuration, section)
    assert (table[key] if isinstance(table, dict) else getattr(table, key)) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[deamon]\n", "[deamon]; did you mean 'daemon'?"),
        ('[daemon]\ndatadir = "/x"\n', "daemon.datadir; did you mean 'data_dir'?"),
        ("[policy]\nfour_eye = true\n", "did you mean 'four_eyes'?"),
        ("[policy]\nfour_eyes = 1\n", "$.policy.four_eyes"),
        ("[daemon]\ndata_dir = 5\n", "$.daemon.data_dir"),
        ('[daemon]\ndata_dir = "relative"\n', "not an absolute path"),
        ('[daemon]\ncommands = "ipc:///x"\n', "$.daemon.commands"),
        ("[daemon]\ncommands = []\n", "daemon.commands is empty"),
        ('[daemon]\nlog_level = "loud"\n', "$.daemon.log_level"),
        ("daemon = 5\n", "[daemon]"),
        ('[store]\nfeed_retention_age = "90"\n', "store.feed_retention_age: a delay is written"),
        ("[store]\nfeed_retention_events = 0\n", "$.store.feed_retention_events"),
        ("[store]\nfeed_retention = 5\n", "store.feed_retention; did you mean"),
        ('[lifecycles]\nfile = ["x"]\n', "lifecycles.file; did you mean 'files'?"),
        ('[lifecycles]\nby_kind = "x"\n', "$.lifecycles.by_kind"),
        ('[roles]\napprover = "alice"\n', "$.roles"),
        ('[roles]\napprover = [""]\n', "roles.approver: ''"),
        ('[identity]\nnames = { alice = "1000" }\n', "identity.names.alice: the key is a uid"),
        ('[identity]\nnames = { "1000" = " " }\n', "identity.names.1000"),
        ('[kinds.x]\nshcema = "x"\n', "kinds.x.shcema; did you mean 'schema'?"),
        ("[kinds]\nx = 5\n", "kinds.x is a table"),
        ('[kinds.x]\nvalidation = "never"\n', "$.kinds"),
        ("[daemon\n", "is not TOML"),
        ("[daemon]\n[daemon]\n", "is not TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_with_its_name(
    tmp_path: Path, text: str, said: str
) -> None:
    file = written(tmp_path, text)
    message = refusal(file)

    assert message.startswith(str(file))
    assert said in message


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MANIFESTD_DATA_DIR", "/x", "the form is MANIFESTD_"),
        ("MANIFESTD_DEAMON__DATA_DIR", "/x", "MANIFESTD_DAEMON__"),
        ("MANIFESTD_DAEMON__", "/x", "sets nothing"),
        ("MANIFESTD_DAEMON__DATADIR", "/x", "did you mean 'data_dir'?"),
        ("MANIFESTD_DAEMON__DATA_DIR", "x", "not an absolute path"),
        ("MANIFESTD_DAEMON__DATA_DIR", "", "not an absolute path"),
        ("MANIFESTD_DAEMON__COMMANDS", "", "is empty"),
        ("MANIFESTD_POLICY__FOUR_EYES", "yes", "$.policy.four_eyes"),
        ("MANIFESTD_POLICY__FOUR_EYES", "false\nx = 1", "$.policy.four_eyes"),
        ("MANIFESTD_LIFECYCLES__DEFAULTS", "x@1", "did you mean 'default'?"),
        ("MANIFESTD_KINDS__X", '{ shcema = "x" }', "did you mean 'schema'?"),
    ],
)
def test_what_is_wrong_in_a_variable_is_said_with_its_name(
    tmp_path: Path, variable: str, value: str, said: str
) -> None:
    """The file is good, so it is not the one to blame."""
    message = refusal(written(tmp_path, "[policy]\nfour_eyes = false\n"), {variable: value})

    assert variable in message
    assert said in message
    assert "manifestd.toml" not in message


def test_what_is_said_about_the_feed_is_what_the_store_is_opened_with(tmp_path: Path) -> None:
    assert store_settings(Configuration()).retention == KEEP_EVERYTHING
    file = written(tmp_path, "[store]\nfeed_retention_events = 7\nsegment_bytes = 65536\n")
    environment = {
        "MANIFESTD_STORE__FEED_RETENTION_AGE": "1d12h",
        "MANIFESTD_STORE__FEED_RETENTION_BYTES": "1000",
    }

    settings = store_settings(load_configuration(file, environment))

    assert settings.retention == Retention(events=7, size_bytes=1000, age_s=129_600.0)
    assert settings.segment_size_bytes == 65536


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing, folder, binary = tmp_path / "missing", tmp_path, tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")

    for file in (missing, folder, binary):
        assert str(file) in refusal(file)


def test_an_empty_roles_table_assigns_nothing(tmp_path: Path) -> None:
    assert load_configuration(written(tmp_path, "[roles]\n"), {}).roles is None
    assigned = load_configuration(written(tmp_path, "[roles]\napprover = []\n"), {})
    assert assigned.roles == {"approver": []}


def test_root_and_the_daemons_own_user_may_speak_for_others_unless_configured() -> None:
    configuration = Configuration()
    assert impersonators(configuration) == {0, os.getuid()}

    configuration.identity.impersonators = ["nobody"]
    assert impersonators(configuration) == {pwd.getpwnam("nobody").pw_uid}

    configuration.identity.impersonators = ["no-such-user"]
    with pytest.raises(ConfigurationError, match="no user 'no-such-user'"):
        impersonators(configuration)


def test_a_kind_from_the_configuration_has_its_schema_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "plugin.json").write_text('{"type":"object","required":["name"]}')
    file = written(tmp_path, '[kinds.plugin]\nschema = "plugin.json"\n')

    kinds = load_kinds(load_configuration(file, {}), tmp_path)

    assert "plugin" in kinds.names()


@pytest.mark.parametrize(
    ("schema", "said"),
    [(None, "plugin.json"), ("{", "plugin.json"), ('{"type":"nonsense"}', "plugin")],
)
def test_a_schema_that_is_none_is_refused(tmp_path: Path, schema: str | None, said: str) -> None:
    if schema is not None:
        (tmp_path / "plugin.json").write_text(schema)
    configuration = load_configuration(
        written(tmp_path, '[kinds.plugin]\nschema = "plugin.json"\n'), {}
    )

    with pytest.raises(ConfigurationError, match=said):
        load_kinds(configuration, tmp_path)


def test_a_kind_without_a_schema_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"kinds\.plugin: give a schema"):
        load_kinds(load_configuration(written(tmp_path, "[kinds.plugin]\n"), {}), tmp_path)
    syntax = written(tmp_path, '[kinds.plugin]\nvalidation = "syntax"\n')
    assert "plugin" in load_kinds(load_configuration(syntax, {}), tmp_path).names()


def test_limits_are_read_from_the_file_and_from_variables(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        '[limits]\nin_flight = 10\nrate = "100/s"\nburst = 200\n'
        '[limits.principals.ci]\nrate = "5/s"\n[limits.principals.boss]\nrate = "unlimited"\n',
    )
    limits = load_configuration(file, {"MANIFESTD_LIMITS__RATE": "7/min"}).limits
    limit = rate_limit(limits, lambda: 0)

    assert limits.in_flight == 10
    assert limits.rate == "7/min"
    assert limit is not None
    for _ in range(1000):
        limit.take("boss")
    for _ in range(10):
        limit.take("ci")
    with pytest.raises(OverloadedError, match="5 per second"):
        limit.take("ci")


def test_without_a_rate_nobody_is_counted() -> None:
    assert rate_limit(load_configuration(None, {}).limits, lambda: 0) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits]\nin_flght = 1", "did you mean 'in_flight'"),
        ("[limits]\nin_flight = 0", "limits.in_flight"),
        ("[limits]\nin_flight_bytes = 1000", "limits.in_flight_bytes"),
        ('[limits]\nrate = "fast"', "'fast' is no rate; write writes per second"),
        ("[limits]\nburst = 5", "give limits.rate"),
        ('[limits]\nprincipals = "ci"', "limits.principals"),
        ("[limits.principals]\nci = 5", "limits.principals.ci is a table"),
        ('[limits.principals.ci]\nrat = "1/s"', "did you mean 'rate'"),
        ('[limits.principals.""]\nrate = "1/s"', "is no name"),
        ('[limits.principals.ci]\nrate = "1/d"', "'1/d' is no rate"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(written(tmp_path, text))
