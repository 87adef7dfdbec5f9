"""The peers' environment: the packages of `peers.txt` in a virtual environment outside the checkout, made on first use and kept."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

LIST = Path(__file__).with_name("peers.txt")
CHROMIUM = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


class Missing(Exception):
    """A peer that cannot be had on this machine; the report says so."""


@functools.cache
def environment() -> Path:
    """Return the folder of the peers' virtual environment, made on first use; raises Missing with the installer's last words."""
    wanted = LIST.read_text(encoding="utf-8")
    name = hashlib.sha256(f"{wanted}{sys.version}".encode()).hexdigest()[:12]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "everfix-bench" / name
    if (folder / "complete").exists():
        return folder
    print(f"installing the peers of bench/peers.txt into {folder} (once) …", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder)], "making a virtual environment")
    wishes = [line for line in wanted.splitlines() if line and not line.startswith("#")]
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*install, *wishes], capture_output=True, check=False).returncode != 0:
        for wish in wishes:  # one that cannot be had must not take the others with it
            subprocess.run([*install, wish], capture_output=True, check=False)
    if all(_installed(folder, wish.partition("==")[0]) for wish in wishes):
        (folder / "complete").touch()
    return folder


def _run(command: list[str], doing: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Missing(f"{doing} failed: {(done.stderr or done.stdout).strip()[-300:]}")


@functools.cache
def _installed(folder: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([str(folder / "bin" / "python"), "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def version(package: str) -> str:
    """Return the installed version of a peer; raises Missing when it could not be installed."""
    found = _installed(environment(), package)
    if not found:
        raise Missing(f"{package} could not be installed")
    return found


def program(name: str, package: str) -> str:
    """Return the path of a program of the peers' environment; raises Missing."""
    version(package)
    return str(environment() / "bin" / name)


def call(code: str, package: str, *arguments: str, timeout: float = 300.0) -> dict[str, float]:
    """Run Python code in the peers' environment and return the JSON object on its last line; raises Missing when that fails."""
    version(package)
    return run_python(str(environment() / "bin" / "python"), code, *arguments, timeout=timeout)


def run_python(python: str, code: str, *arguments: str, timeout: float = 300.0) -> dict[str, float]:
    """Run Python code in a process of its own and return the JSON object on its last line; raises Missing when that fails."""
    try:
        done = subprocess.run([python, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Missing(f"took longer than {timeout:.0f} s") from None
    if done.returncode != 0:
        raise Missing(done.stderr.strip()[-300:])
    said: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


def chromium() -> str:
    """Return the path of an installed Chromium or Chrome; raises Missing."""
    for name in CHROMIUM:
        found = shutil.which(name)
        if found:
            return found
    raise Missing("no Chromium or Chrome is installed")


def own(package: str) -> str:
    """Return the version of a package of the project's own environment."""
    return metadata.version(package)
