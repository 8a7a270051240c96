"""The packaged configuration has the spool on, in the folder that the shim's unit gives it."""

import pathlib
import re

from harness import programs

PACKAGED = pathlib.Path(__file__).resolve().parents[2] / "config" / "systemd"


def test_the_spool_is_on():
    secrets = {"LIVEKIT_API_SECRET": programs.API_SECRET}
    printed = programs.run(
        "roomclaim-shim", "--config", PACKAGED / "roomclaim.conf", "--print-config", settings=secrets
    )
    assert printed.returncode == 0, printed.stderr
    folder = re.search(r"^StateDirectory=(\S+)$", (PACKAGED / "roomclaim-shim.service").read_text(), re.M)
    assert folder, "the unit gives the shim no folder"
    spool = re.search(r"spool_path\s*=\s*\"([^\"]*)\"", printed.stdout)
    assert spool and spool[1].startswith(f"/var/lib/{folder[1]}/"), printed.stdout
