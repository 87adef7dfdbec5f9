"""`everfix serve`, as a real process: the contract of the command line, from the first start to SIGTERM."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from everfix import server
from everfix.core.embedded import Embedded
from everfix.settings import Settings
from tests import make
from tests.processes import Running, everfix, wait
from tests.shared import ROOT

FOLDER = Path


def url_of(running: Running) -> str:
    running.says("ready http")
    return running.out.split("ready ")[1].split()[0]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A data directory; not pytest's, whose parents only their owner may enter (as root PostgreSQL runs as another user)."""
    folder = Path(tempfile.mkdtemp(prefix="everfix-serve-"))
    yield folder
    Embedded(folder / "data").stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Running]:
    with everfix(home / "one", "serve", "--data-dir", str(home / "data"), "--port", "0", request_max_bytes=600_000) as made:
        url_of(made)
        yield made


@pytest.fixture(scope="module")
def http(running: Running, home: Path) -> Iterator[httpx.Client]:
    secret = (home / "data" / "owner.token").read_text().strip()
    with httpx.Client(base_url=url_of(running), headers={"Authorization": f"Bearer {secret}"}, timeout=30) as client:
        yield client


def test_the_first_start_makes_everything(running: Running, http: httpx.Client, home: Path) -> None:
    token = home / "data" / "owner.token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "data" / "master.key").stat().st_mode) == 0o600
    assert running.out.startswith("ready http://127.0.0.1:")
    assert http.get("/ready").status_code == 200
    assert http.get("/health").json() == {"status": "ok"}
    assert http.get("/v1/issues").json()["page"]["total"] == 0
    assert token.read_text().strip() not in running.log


def test_the_quick_start_by_curl(running: Running, home: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    secret = (home / "data" / "owner.token").read_text().strip()
    body = '{"external_id": "curl-1", "source": "custom_api", "title": "Checkout fails for cards of one bank", "severity": "high"}'
    command = ["curl", "-sS", "-X", "POST", f"{url_of(running)}/v1/ingest/events", "-H", f"Authorization: Bearer {secret}"]
    done = subprocess.run(
        [*command, "-H", "Content-Type: application/json", "-d", body, "-w", "\n%{http_code}"], capture_output=True, text=True, check=True
    )
    answer, status = done.stdout.rsplit("\n", 1)
    assert status == "202"
    assert '"accepted":1' in answer.replace(" ", "")


def test_a_batch_of_500_goes_through_the_loop(http: httpx.Client) -> None:
    records = [record for number in range(125) for record in make.failures("search", (1.0, 2, 3, 4), service=f"s{number % 5}")]
    records = [{**record, "external_id": f"b-{number}"} for number, record in enumerate(records)]
    told = http.post("/v1/ingest/batch", json={"records": records})
    assert told.status_code == 202
    assert told.json()["accepted"] == 500
    job = told.json()["job_id"]
    wait(lambda: http.get(f"/v1/ingest/status/{job}").json()["status"] == "succeeded", "the loop")
    assert http.get("/v1/patterns", params={"sort": "-issue_count"}).json()["data"][0]["issue_count"] >= 100


def test_a_report_comes_out_and_its_link_works(http: httpx.Client) -> None:
    job = http.post("/v1/reports/generate", json={"template": "issue_digest", "window": "7D", "format": "XLSX"}).json()
    done: Any = wait(
        lambda: (found := http.get(f"/v1/reports/jobs/{job['id']}").json())["status"] in ("succeeded", "failed") and found, "the report"
    )
    assert done["status"] == "succeeded", done
    answer = httpx.get(done["download_url"])
    assert answer.status_code == 200
    assert answer.content[:2] == b"PK"
    assert len(answer.content) == done["files"][0]["size"]


def test_a_body_over_the_limit_is_refused_also_in_pieces(http: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(80):
            yield b"x" * 10_000

    for content in (b"x" * 800_000, pieces()):
        answer = http.post("/v1/ingest/batch", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413, answer.text
        assert answer.json()["error"]["trace_id"] == answer.headers["x-request-id"]
    assert http.get("/v1/issues").status_code == 200


def test_concurrent_requests_keep_their_own_trace(http: httpx.Client) -> None:
    """Granian hands each request a scope; a shared one would mix up trace ids."""
    seen: list[tuple[str, str, str]] = []

    def ask(number: int) -> None:
        for turn in range(8):
            sent = f"trace-{number:02}-{turn:04}"
            answer = httpx.get(f"{http.base_url}/v1/issues/x", headers={"X-Request-Id": sent, **http.headers})
            seen.append((sent, answer.headers["x-request-id"], answer.json()["error"]["trace_id"]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 64
    assert all(sent == header == body for sent, header, body in seen)


def test_a_second_server_on_the_same_port_refuses_clearly(running: Running, home: Path) -> None:
    port = url_of(running).rsplit(":", 1)[1]
    with everfix(home / "two", "serve", "--data-dir", str(home / "data"), "--port", port) as second:
        assert second.ends() == 1
        assert f"cannot listen on 127.0.0.1:{port}" in second.log
        assert "choose another with --port" in second.log.replace("\n", " ")
        assert "Traceback" not in second.log


def test_a_second_server_of_the_same_directory_joins(running: Running, http: httpx.Client, home: Path) -> None:
    with everfix(home / "three", "serve", "--data-dir", str(home / "data"), "--port", "0") as second:
        other = url_of(second)
        assert other != url_of(running)
        answer = httpx.get(f"{other}/v1/issues", headers=http.headers)
        assert answer.status_code == 200
        assert answer.json()["page"]["total"] == http.get("/v1/issues").json()["page"]["total"]
        assert second.stop() == 0
    assert http.get("/ready").status_code == 200, "the first goes on when the second leaves"


def test_a_dead_worker_is_started_again(running: Running, http: httpx.Client) -> None:
    child = _worker(running)
    child.kill()
    child.wait(10)
    wait(lambda: _worker(running, unless=child.pid), "a new worker")
    told = http.post("/v1/ingest/events", json=make.event()).json()
    wait(lambda: http.get(f"/v1/ingest/status/{told['job_id']}").json()["status"] == "succeeded", "the new worker's first job")
    assert "the worker died and is started again" in running.log


def _worker(running: Running, unless: int = 0) -> psutil.Process:
    found = [child for child in running.children() if child.pid != unless and child.is_running() and "worker" in _words(child)]
    return found[0] if found else None  # type: ignore[return-value]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def test_a_killed_database_comes_back_by_itself(running: Running, http: httpx.Client, home: Path) -> None:
    """kill -9 of PostgreSQL itself: requests say 503 until the worker, started again, has brought it back; nothing answered is lost."""
    total = http.get("/v1/issues").json()["page"]["total"]
    leader = int((home / "data" / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(leader, signal.SIGKILL)
    seen: list[tuple[int, int, int, str]] = []

    def back() -> bool:
        health, ready, answer = (http.get(path) for path in ("/health", "/ready", "/v1/issues"))
        code = "" if answer.status_code == 200 else answer.json()["error"]["code"]
        seen.append((health.status_code, ready.status_code, answer.status_code, code))
        return answer.status_code == 200 and len(seen) > 1

    wait(back, f"the database to come back: {seen[-3:]}")
    assert {health for health, *_ in seen} == {200}
    assert {(status, code) for _, _, status, code in seen} <= {(200, ""), (503, "unavailable")}
    assert {ready for _, ready, *_ in seen} <= {200, 503}
    assert http.get("/v1/issues").json()["page"]["total"] == total
    told = http.post("/v1/ingest/events", json=make.event()).json()
    wait(lambda: http.get(f"/v1/ingest/status/{told['job_id']}").json()["status"] == "succeeded", "the first job after it")


def test_sigterm_ends_it_with_0(running: Running, http: httpx.Client, home: Path) -> None:
    """Last: it leaves nothing behind, neither worker nor PostgreSQL."""
    children, before = running.children(), len(running.log)
    assert running.stop() == 0
    assert "Traceback" not in running.log[before:]
    psutil.wait_procs(children, timeout=10)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert not (home / "data" / "postgres" / "postmaster.pid").exists()


def test_a_killed_server_takes_its_worker_and_database_along(home: Path) -> None:
    """kill -9 of the server: the worker notices, leaves, and as the last user of PostgreSQL stops it; the next start finds everything."""
    data = home / "data"
    with everfix(home / "killed", "serve", "--data-dir", str(data), "--port", "0") as running:
        url_of(running)
        children = running.children()
        running.kill()
        wait(lambda: not (data / "postgres" / "postmaster.pid").exists(), "PostgreSQL to be stopped by the worker")
        psutil.wait_procs(children, timeout=20)
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    with everfix(home / "after", "serve", "--data-dir", str(data), "--port", "0") as second:
        secret = (data / "owner.token").read_text().strip()
        answer = httpx.get(f"{url_of(second)}/v1/issues", headers={"Authorization": f"Bearer {secret}"}, timeout=30)
        assert answer.json()["page"]["total"] > 500
        assert second.stop() == 0


def test_a_start_with_a_url_uses_that_database(clone: Any, tmp_path: Path) -> None:
    url = clone("by_url")
    with everfix(tmp_path / "one", "serve", "--port", "0", database_url=url, data_dir=tmp_path / "data") as running:
        assert httpx.get(f"{url_of(running)}/ready").status_code == 200
        assert not (tmp_path / "data" / "postgres").exists()
        with psycopg.connect(url) as connection:
            roles = {
                row[0] for row in connection.execute("SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'everfix'")
            }
        assert roles == {"everfix_app"}, "requests are served as the restricted role"
        running.process.send_signal(signal.SIGINT)
        assert running.ends() == 0


def test_work_in_hand_is_finished_at_sigterm(clone: Any, tmp_path: Path) -> None:
    url = clone("in_hand")
    with everfix(tmp_path / "one", "serve", "--port", "0", database_url=url, data_dir=tmp_path / "data") as running:
        base = url_of(running)
        with psycopg.connect(url) as holder:
            secret = _token(url)
            holder.execute("LOCK TABLE files IN EXCLUSIVE MODE")
            sent = httpx.post(
                f"{base}/v1/reports/generate",
                json={"template": "blank", "sections": ["issue_kpis"], "format": "json"},
                headers={"Authorization": f"Bearer {secret}"},
            )
            assert sent.status_code == 202
            wait(lambda: _blocked(url), "the report to stand still")
            running.process.terminate()
            wait(lambda: not _listens(base), "it to stop listening")
            assert running.process.poll() is None, "it waits for the job in hand"
            holder.rollback()
        assert running.ends() == 0
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT status FROM jobs WHERE kind = 'reports.run'").fetchall() == [("succeeded",)]


def _token(url: str) -> str:
    from everfix.core.db import Database, enter
    from everfix.identity import tokens
    from everfix.identity.principals import Scope

    owner = Database(url, pool=1)
    with owner.transaction() as db:
        workspace = db.connection().exec_driver_sql("SELECT id FROM workspaces ORDER BY id LIMIT 1").scalar_one()
        enter(db, workspace)
        secret = tokens.issue(db, tokens.Kind.SERVICE, "x", service_account=tokens.service_account(db, "x").id, scopes=Scope)
    owner.close()
    return secret


def _blocked(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ).fetchone()
    return bool(row and row[0])


def _listens(base: str) -> bool:
    try:
        return httpx.get(f"{base}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; the other tests ran as an ordinary one already")
def test_an_ordinary_user_can_serve() -> None:
    """As root everything above ran PostgreSQL as another user; here all of it runs as a user without rights."""
    folder = Path(tempfile.mkdtemp(prefix="everfix-user-"))
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    packages = os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"]])
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "EVERFIX_DATA_DIR": str(folder / "data"), "PYTHONPATH": packages}
    command = [_python_for(nobody.pw_uid), "-m", "everfix", "serve", "--port", "0"]
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            command, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], env=environment, cwd=folder, stdout=out, stderr=err
        )
    made = Running(process, folder)
    try:
        base = url_of(made)
        secret = (folder / "data" / "owner.token").read_text().strip()
        sent = httpx.post(f"{base}/v1/ingest/events", headers={"Authorization": f"Bearer {secret}"}, json=make.event())
        assert sent.status_code == 202
        assert (folder / "data" / "postgres" / "PG_VERSION").stat().st_uid == nobody.pw_uid
        assert made.stop() == 0
    finally:
        process.kill()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _python_for(user: int) -> str:
    """Return a Python of this version that `user` may run: root's own may lie in a folder that nobody else may enter."""
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            done = subprocess.run(
                [candidate, "-c", "import sys; print(sys.version_info[:2])"],
                user=user,
                capture_output=True,
                text=True,
                cwd="/",
                check=False,
            )
        except OSError:
            continue
        if done.stdout.strip() == str(sys.version_info[:2]):
            return candidate
    pytest.skip("no Python of this version that an ordinary user may run")


# --- in this process ---


def test_a_free_port_is_free() -> None:
    port = server.free_port("127.0.0.1")
    server.check_port(Settings(port=port, host="127.0.0.1"))
    assert 1024 < port < 65536


def test_an_address_that_is_not_ours_is_refused() -> None:
    from everfix.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="cannot listen on 192"):
        server.check_port(Settings(port=4000, host="192.0.2.1"))
