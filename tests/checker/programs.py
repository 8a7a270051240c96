"""The programs themselves: what they told, and what they held on to."""

import json

REPORTS = "reports"  # the folder of each program's sanitizer or valgrind reports
RSS_GROWTH_KB, FDS_GROWTH = 65536, 64  # in a run of minutes: pools and buffers fill


def nothing_secret_is_told(run):
    places = [(path.relative_to(run.folder).as_posix(), path.read_bytes()) for path in run.log_files()]
    places.append(("parties.json", json.dumps(run.parties).encode()))
    for record in run.topic:
        headers = json.dumps(record["headers"], ensure_ascii=False).encode()
        places.append((f"the headers of {record['topic']} {record['partition']}/{record['offset']}", headers))
    for secret in run.expect["secrets"]:
        word = secret.encode()
        for name, content in places:
            if word in content:
                yield f"{name} holds a secret of {len(word)} bytes, at byte {content.index(word)}"


def nothing_leaks(run):
    growth = {
        "rss_kb": run.expect.get("rss_growth_kb", RSS_GROWTH_KB),
        "fds": run.expect.get("fds_growth", FDS_GROWTH),
    }
    for party in run.parties:
        for name, allowed in growth.items():
            start, end = party[f"{name}_start"], party[f"{name}_end"]
            if start is not None and end is not None and end > start + allowed:
                yield f"{party['party']} (pid {party['pid']}): {name} grew from {start} to {end}"
    for path in run.log_files():
        if REPORTS in path.parts and path.stat().st_size:
            yield f"{path.relative_to(run.folder)} is a report: {path.read_text(errors='replace')[:200]}"
