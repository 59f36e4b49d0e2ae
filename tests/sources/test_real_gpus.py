"""GPUs that are there: what NVML is asked for is what NVIDIA's own command prints."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cryowatch.records import DeviceSample
from cryowatch.sources.host.gpus import Gpus

SMI = shutil.which("nvidia-smi")
FIELDS = ("utilization.gpu", "memory.used", "memory.total", "temperature.gpu", "power.draw")
pytestmark = pytest.mark.skipif(SMI is None, reason="this machine has no NVIDIA driver")


def ask(*what: str) -> list[list[str]]:
    """Return the rows that nvidia-smi prints."""
    command = [str(SMI), *what, "--format=csv,noheader,nounits"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    return [[cell.strip() for cell in row] for row in csv.reader(text.splitlines())]


def cards() -> Iterator[tuple[DeviceSample, list[str]]]:
    """Return a sample of each GPU, and what nvidia-smi says of it right after."""
    samples = Gpus().read()
    rows = ask(f"--query-gpu={','.join(FIELDS)}")
    assert [sample.device for sample in samples] == [str(number) for number in range(len(rows))]
    return iter(zip(samples, rows, strict=True))


def number(cell: str) -> float | None:
    """Return a figure of nvidia-smi; None where it has none."""
    try:
        return float(cell)
    except ValueError:
        return None


@contextmanager
def at_work() -> Iterator[None]:
    """Run a process that multiplies matrices on the first GPU."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    program = (
        "import torch\n"
        "a = torch.randn(8192, 8192, device='cuda')\n"
        "torch.cuda.synchronize(); print('at work', flush=True)\n"
        "while True:\n"
        "    a = torch.tanh(a @ a); torch.cuda.synchronize()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "at work\n"
            yield
        finally:
            process.kill()


def test_what_a_gpu_says_is_what_nvidia_smi_prints() -> None:
    for sample, (_, used, total, temperature, power) in cards():
        assert sample.note == ""
        memory = number(used), number(total)
        if memory[0] is not None and memory[1]:
            assert sample.memory == pytest.approx(100 * memory[0] / memory[1], abs=0.01)
        if number(temperature) is not None:
            assert sample.temperature == pytest.approx(number(temperature), abs=3)
        if number(power) is not None:
            assert sample.power == pytest.approx(number(power), rel=0.25)


def test_a_process_that_computes_is_counted_and_its_work_seen() -> None:
    before = Gpus().read()[0]
    with at_work():
        deadline = time.monotonic() + 20
        gpus = Gpus()
        while (sample := gpus.read()[0]).use is not None and sample.use < 50 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert sample.use is not None
        assert sample.use >= 50
        assert sample.processes == (before.processes or 0) + 1
        assert (sample.memory or 0) > (before.memory or 0)
        assert (sample.power or 0) > (before.power or 0)
