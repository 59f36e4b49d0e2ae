"""The command `cryowatch demo` as it is typed: how to get to its pages, a port that is taken, an end in a hurry."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from cryowatch.agent.run import way_from_afar


def test_who_is_logged_in_by_ssh_is_told_how_to_get_to_the_pages() -> None:
    far = {"SSH_CONNECTION": "10.0.0.5 50000 10.0.0.1 22"}
    way = way_from_afar("http://127.0.0.1:8421/", far)
    assert way.startswith("From your own computer: ssh -L 8421:127.0.0.1:8421 ")
    assert way.endswith("and open http://127.0.0.1:8421/ there.")
    assert way_from_afar("http://127.0.0.1:8421/", {}) == ""
    assert way_from_afar("http://127.0.0.1:8421/", {**far, "DISPLAY": "localhost:10.0"}) == ""
    assert way_from_afar("https://10.0.0.1:8421/", far) == ""


def test_a_demo_whose_port_is_taken_names_its_own_option() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "cryowatch", "demo", "--port", str(port)],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.endswith("Choose another port with --port\n")


def test_ctrl_c_twice_leaves_nothing_of_a_demo_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "cryowatch", "demo", "--port", "0", "--no-browser"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "Ctrl+C" in line:
            break
    for _ in range(6):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    process.communicate(timeout=30)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("cryowatch-demo-")] == []
