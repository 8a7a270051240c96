"""What is wrong with a configuration is said at once, with the key's name, and by the exit code."""

import pytest
from harness import programs

GOOD = {
    "roomclaim-shim": {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "LIVEKIT_API_KEY": programs.API_KEY,
        "LIVEKIT_API_SECRET": programs.API_SECRET,
    },
    "roomclaim-consumer": {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "DATABASE_URL": f"postgresql://u:{programs.PG_PASSWORD}@127.0.0.1:9/d",
        "GEMINI_API_KEY": programs.MODEL_KEY,
    },
}
WRONG = [
    ("roomclaim-shim", {"KAFKA_BOOTSTRAP_SERVERS": ""}, (), 78, "bootstrap_servers"),
    ("roomclaim-shim", {"kafka.properties": "acks=1"}, (), 78, "acks"),
    ("roomclaim-shim", {"shim.answer_within": "10"}, (), 78, "answer_within"),
    ("roomclaim-shim", {"shim.answer_within": "1h"}, (), 78, "answer_within"),
    ("roomclaim-shim", {"shim.lisen": "127.0.0.1:1"}, (), 78, "did you mean ROOMCLAIM_SHIM_LISTEN"),
    ("roomclaim-shim", {"ROOMCLAIM_LIVEKIT_API_SECRET": "another-canary"}, (), 78, "api_secret"),
    ("roomclaim-shim", {}, ("--set", "livekit.api_secret=x"), 64, "api_secret"),
    ("roomclaim-shim", {}, ("--nonsense",), 64, "nonsense"),
    ("roomclaim-shim", {}, ("--config", "/nonexistent/file"), 78, "/nonexistent/file"),
    ("roomclaim-consumer", {"claim.lease": "60s"}, (), 78, "claim.lease"),
    ("roomclaim-consumer", {"claim.lease": "60s"}, (), 78, "llm.timeout"),
    ("roomclaim-consumer", {"kafka.properties": "enable.auto.commit=true"}, (), 78, "enable.auto.commit"),
    ("roomclaim-consumer", {"llm.base_url": "http://example.com"}, (), 78, "base_url"),
    ("roomclaim-consumer", {"claim.max_attempts": "0"}, (), 78, "max_attempts"),
    ("roomclaim-consumer", {"GEMINI_API_KEY": ""}, (), 78, "api_key"),
    ("roomclaim-consumer", {"log.level": "loud"}, (), 78, "log.level"),
    ("roomclaim-consumer", {}, ("--set", "claim.lease"), 64, "claim.lease"),
]


@pytest.mark.parametrize("program", GOOD)
def test_a_good_configuration_checks(program):
    done = programs.run(program, "--check", settings=GOOD[program])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", GOOD)
def test_the_configuration_is_printed_without_secrets(program):
    done = programs.run(program, "--print-config", "--set", "log.level=debug", settings=GOOD[program])
    assert done.returncode == 0, done.stderr
    assert "debug" in done.stdout
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.shows("F14")
@pytest.mark.parametrize(("program", "change", "arguments", "code", "word"), WRONG)
def test_a_wrong_one_is_refused(program, change, arguments, code, word):
    done = programs.run(program, "--check", *arguments, settings=GOOD[program] | change)
    assert (done.returncode, word in done.stderr) == (code, True), done.stderr
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.parametrize("program", ["roomclaim", *GOOD])
@pytest.mark.parametrize("option", ["--version", "--help"])
def test_help_and_version_go_to_stdout(program, option):
    done = programs.run(program, option)
    assert done.returncode == 0 and program in done.stdout and done.stderr == ""
