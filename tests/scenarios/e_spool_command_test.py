"""`roomclaim spool FILE` shows what a shim left, --drain publishes it: for the file of a host that is dead."""

import re

from harness import programs
from harness.spooling import TOPIC, post_rooms, rooms, settings_of, start


def given_a_dead_shim(tmp_path, count=20):
    shim = start(tmp_path, "dead")
    answers = post_rooms(shim, count)
    assert set(answers.values()) == {200}
    shim.kill()
    return answers


def spool(tmp_path, *arguments, bootstrap=None):
    settings = settings_of(tmp_path, bootstrap)
    del settings["shim.spool_path"]
    return programs.run("roomclaim", "spool", *arguments, settings=settings)


def counts(text):
    return {name: int(number) for name, number in re.findall(r"^(records|dead|bytes) +(\d+)$", text, re.M)}


def test_it_counts(tmp_path):
    given_a_dead_shim(tmp_path)
    for _ in range(2):  # looking changes nothing
        shown = spool(tmp_path, tmp_path / "spool.db")
        assert shown.returncode == 0, shown.stderr
        found = counts(shown.stdout)
        assert found["records"] == 20 and found["dead"] == 0 and found["bytes"] > 20 * 50
        assert re.search(r"^oldest +20\d\d-", shown.stdout, re.M)


def test_it_drains(tmp_path, mock, topics_of):
    answers = given_a_dead_shim(tmp_path)
    drained = spool(tmp_path, "--drain", tmp_path / "spool.db", bootstrap=mock.bootstrap)
    assert drained.returncode == 0, drained.stderr
    assert "published 20, buried 0, left 0" in drained.stdout
    assert sorted(rooms(topics_of(mock).records(TOPIC))) == sorted(answers)
    assert counts(spool(tmp_path, tmp_path / "spool.db").stdout)["records"] == 0


def test_kafka_is_away(tmp_path, mock, topics_of):
    answers = given_a_dead_shim(tmp_path)
    failed = spool(tmp_path, "--drain", tmp_path / "spool.db")
    assert failed.returncode == 69
    assert "published 0, buried 0, left 20" in failed.stdout and "run it again" in failed.stderr
    again = spool(tmp_path, "--drain", tmp_path / "spool.db", bootstrap=mock.bootstrap)
    assert again.returncode == 0
    assert set(rooms(topics_of(mock).records(TOPIC))) == set(answers)


def test_a_living_shim_keeps_its_file(tmp_path, mock):
    shim = start(tmp_path, "alive")
    assert set(post_rooms(shim, 3).values()) == {200}
    for arguments in ([], ["--drain"]):
        refused = spool(tmp_path, *arguments, tmp_path / "spool.db", bootstrap=mock.bootstrap)
        assert refused.returncode == 69 and "another process has it" in refused.stderr
    assert set(post_rooms(shim, 3).values()) == {200}
    shim.finish()


def test_wrong_arguments(tmp_path):
    missing = spool(tmp_path)
    assert missing.returncode == 64 and "FILE" in missing.stderr
    assert spool(tmp_path, "one", "two").returncode == 64
    nowhere = spool(tmp_path, tmp_path / "nothing.db")
    assert nowhere.returncode == 69 and "nothing.db" in nowhere.stderr
    assert not (tmp_path / "nothing.db").exists()


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"")
    assert spool(tmp_path, path).returncode == 0
    assert counts(spool(tmp_path, path).stdout)["records"] == 0
