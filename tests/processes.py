"""Real `everfix` processes for tests: started, watched through their log, always ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

PATIENCE = 60.0


def wait(until: Callable[[], object], what: str, seconds: float = PATIENCE) -> object:
    """Return what `until` gives once it is true; fails, naming it, when it never is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := until():
            return found
        time.sleep(0.03)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


class Running:
    """One process; `log` and `out` are what it has written so far."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process, self._folder = process, folder

    @property
    def log(self) -> str:
        return (self._folder / "stderr").read_text(errors="replace")

    @property
    def out(self) -> str:
        return (self._folder / "stdout").read_text(errors="replace")

    def says(self, text: str) -> None:
        """Wait until `text` stands in what it wrote; fails at once when it has ended without."""

        def said() -> bool:
            ended = self.process.poll() is not None
            found = text in self.out or text in self.log
            assert found or not ended, f"ended with {self.process.returncode}: {self.out}\n{self.log}"
            return found

        wait(said, f"{text!r} in {self.log[-2000:]}")

    def ends(self, seconds: float = PATIENCE) -> int:
        return self.process.wait(seconds)

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        self.process.terminate()
        return self.ends()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def everfix(folder: Path, *words: str, **settings: object) -> Iterator[Running]:
    """Start `everfix words…` with these EVERFIX_ settings, its output in `folder`; kills what is left of it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVERFIX_")}
    environment |= {f"EVERFIX_{name.upper()}": str(value) for name, value in settings.items()}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    command = [sys.executable, "-m", "everfix", *words]
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=environment, cwd=folder)
    running = Running(process, folder)
    try:
        yield running
    finally:
        left = running.children() if process.poll() is None else []
        for one in left:
            if one.name().startswith("python"):
                one.kill()
        process.kill()
        process.wait(PATIENCE)
