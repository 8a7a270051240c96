"""`roomclaim spool FILE` shows what a shim left, --drain publishes it: for the file of a host that is dead.

--redrive puts back what the shim set aside, --discard deletes it.
"""

import contextlib
import re
import sqlite3

from harness import programs
from harness.spooling import TOPIC, expect_drained, gauge, post_rooms, rooms, settings_of, start


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


def given_age(tmp_path, oldest, days):
    """The first so many records were put days ago."""
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as db, db:
        changed = db.execute(
            "UPDATE record SET put_ms = put_ms - ? WHERE id IN (SELECT id FROM record ORDER BY id LIMIT ?)",
            (days * 86_400_000, oldest),
        )
        assert changed.rowcount == oldest


def given_too_old(tmp_path, mock):
    """Five of twenty are older than a shim sends; all the rest is in Kafka."""
    answers = given_a_dead_shim(tmp_path)
    given_age(tmp_path, 5, 8)
    back = start(tmp_path, "back", mock.bootstrap, **{"shim.spool_max_age": "7d"})
    expect_drained(back)
    assert gauge(back, "roomclaim_spool_dead_records") == 5
    [said] = [line for line in back.said("set aside") if line["level"] == "error"]
    assert "roomclaim spool" in said["msg"] and said["count"] == 5
    back.stop()
    return answers


def test_what_is_too_old_can_be_redriven(tmp_path, mock, topics_of):
    answers = given_too_old(tmp_path, mock)
    sent = rooms(topics_of(mock).records(TOPIC))
    assert len(sent) == 15 and set(sent) < set(answers)
    shown = spool(tmp_path, tmp_path / "spool.db")
    assert counts(shown.stdout)["dead"] == 5 and re.search(r"^  too_old +5$", shown.stdout, re.M)

    redriven = spool(tmp_path, "--redrive", "--drain", tmp_path / "spool.db", bootstrap=mock.bootstrap)

    assert redriven.returncode == 0, redriven.stderr
    assert "redriven 5\n" in redriven.stdout and "published 5, buried 0, left 0" in redriven.stdout
    assert sorted(rooms(topics_of(mock).records(TOPIC))) == sorted(answers)


def test_what_is_redriven_is_not_too_old_again(tmp_path, mock, topics_of):
    answers = given_too_old(tmp_path, mock)
    assert spool(tmp_path, "--redrive", tmp_path / "spool.db").returncode == 0
    back = start(tmp_path, "again", mock.bootstrap, **{"shim.spool_max_age": "7d"})
    expect_drained(back)
    assert sorted(rooms(topics_of(mock).records(TOPIC))) == sorted(answers)
    back.finish()


def test_the_dead_can_be_discarded(tmp_path, mock, topics_of):
    given_too_old(tmp_path, mock)
    both = spool(tmp_path, "--redrive", "--discard", tmp_path / "spool.db")
    assert both.returncode == 64 and "both ways" in both.stderr
    discarded = spool(tmp_path, "--discard", tmp_path / "spool.db")
    assert discarded.returncode == 0 and "discarded 5\n" in discarded.stdout
    left = counts(spool(tmp_path, tmp_path / "spool.db").stdout)
    assert left == {"records": 0, "dead": 0, "bytes": 0}
    assert len(topics_of(mock).records(TOPIC)) == 15
