"""Real Kafka and Postgres for the developer and for the tests.

python -m harness.services up FOLDER          both, detached; prints the environment they are reached by
python -m harness.services down FOLDER        stops them and removes FOLDER
python -m harness.services run NAMES -- CMD   NAMES: postgres, kafka or both with a comma; CMD sees the environment,
                                              they end with it. Exit code: CMD's, or 3 when a server failed
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

from .broker import KafkaBroker, jars_folder
from .postgres import Postgres
from .processes import until

SERVER_FAILED = 3


def environment(bootstrap=None, postgres_url=None):
    """What the programs and the tests read."""
    found = {}
    if bootstrap:
        found |= {"KAFKA_BOOTSTRAP_SERVERS": bootstrap, "ROOMCLAIM_TEST_KAFKA": bootstrap}
    if postgres_url:
        found |= {"DATABASE_URL": postgres_url, "ROOMCLAIM_TEST_PG": postgres_url}
    return found


def _ours(pid, folder):
    """True if pid is alive and still the process that was started with this folder."""
    try:
        line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        return (
            str(folder).encode() in line
            and pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
        )
    except OSError:
        return False


def up(folder):
    state = folder / "state.json"
    if state.exists():
        known = json.loads(state.read_text())
        if all(_ours(pid, folder) for pid in known["pids"].values()):
            return known["environment"]
        down(folder)
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    postgres = Postgres(folder / "postgres", detached=True).start()
    kafka = KafkaBroker(folder / "kafka", jars_folder(), detached=True)
    state.write_text(json.dumps({"pids": {"postgres": postgres.child.pid}, "environment": {}}))
    kafka.start()
    known = {
        "pids": {"postgres": postgres.child.pid, "kafka": kafka.child.pid},
        "environment": environment(kafka.bootstrap, postgres.url()),
    }
    state.write_text(json.dumps(known))
    return known["environment"]


def down(folder):
    state = folder / "state.json"
    if not state.exists():
        return False
    ends = {"postgres": signal.SIGINT, "kafka": signal.SIGTERM}
    pids = json.loads(state.read_text())["pids"]
    for name, pid in pids.items():
        if _ours(pid, folder):
            os.kill(pid, ends[name])
    until(lambda: not any(_ours(pid, folder) for pid in pids.values()), 30, "both servers have ended")
    shutil.rmtree(folder)
    return True


def start(names, folder, started):
    """Starts the servers, appends them to `started`, and returns their environment."""
    found = {}
    if "postgres" in names:
        started.append(Postgres(folder / "postgres").start())
        found |= environment(postgres_url=started[-1].url())
    if "kafka" in names:
        started.append(KafkaBroker(folder / "kafka", jars_folder()).start())
        found |= environment(bootstrap=started[-1].bootstrap)
    return found


def run(names, command):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="roomclaim-test-"))
    folder.chmod(0o755)  # the user postgres must reach its folder
    started, code = [], SERVER_FAILED
    try:
        found = start(names, folder, started)
        code = subprocess.run(command, env=os.environ | found | {"ROOMCLAIM_TEST_FOLDER": str(folder)}).returncode
    except Exception:
        traceback.print_exc()
    finally:
        for server in started:
            try:
                server.stop()
            except Exception:
                traceback.print_exc()
                code = SERVER_FAILED
    if code == 0 and not os.environ.get("ROOMCLAIM_TEST_KEEP"):
        shutil.rmtree(folder)
    else:
        print(f"logs are kept in {folder}", file=sys.stderr)
    return code


def main(arguments):
    match arguments:
        case ["up", folder]:
            for name, value in up(pathlib.Path(folder)).items():
                print(f"export {name}={value}")
        case ["down", folder]:
            print("stopped" if down(pathlib.Path(folder)) else "nothing was up")
        case ["run", names, "--", *command] if command:
            return run(names.split(","), command)
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
