"""Which rows of tests/faults.toml the crash points show, in all runs of test_crash with that point and that fault.
What is looked at after each run stands in promises.py."""

SHOWS = {
    "F02": ["call_sent:kill"],
    "F03": ["storing:kill", "store_sent:kill"],
    "F44": ["webhook_answered:kill"],
    "F48": ["spool_written:kill", "spool_synced:kill", "spool_drained:kill"],
}
