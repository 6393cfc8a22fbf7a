import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deftunes.core.errors import BadUsageError, DeftunesError, RetriableError
from deftunes.embedded import home as module
from deftunes.embedded.home import Home, Record, write_atomically
from deftunes.embedded.process import Process


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    record = Record(Process(12, "boot:34"), 5432, is_initialized=True, facts={"socket": "/tmp/x y"})
    assert home.record("postgres") is None
    home.write_record("postgres", record)
    assert home.record("postgres") == record
    assert Home(tmp_path / "home").record("postgres") == record


def test_a_moved_home_keeps_its_servers_and_a_copy_has_none(tmp_path: Path) -> None:
    record = Record(Process(12, "boot:34"), 5432)
    Home(tmp_path / "home").write_record("postgres", record)
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    (tmp_path / "home").rename(tmp_path / "moved")
    assert Home(tmp_path / "moved").record("postgres") == record
    assert Home(tmp_path / "copy").record("postgres") is None


def test_a_home_of_nobody_is_bad_usage() -> None:
    with pytest.raises(BadUsageError, match="DEFTUNES_HOME"):
        Home(Path("~nobody-has-this-name/home"))


def test_only_we_can_enter_a_home_and_read_its_secrets(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    write_atomically(home.secret("x"), "1")
    write_atomically(home.secret("x"), "2")
    assert home.secret("x").read_text() == "2"
    assert home.secret("x").stat().st_mode & 0o777 == 0o600
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in home.secret("x").parent.iterdir()] == ["x.secret"]


def test_a_home_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeftunesError, match="Set DEFTUNES_HOME"):
        Home(tmp_path / "file" / "home")


def test_one_at_a_time_holds_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with Home(tmp_path / "home").lock():
            inside += 1
            most = max(most, inside)
            threading.Event().wait(0.02)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1

    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.1)
    with home.lock(), pytest.raises(RetriableError, match="Run the command again"), home.lock():
        pytest.fail("two held the lock")


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    hold = "import sys, time; from pathlib import Path; from deftunes.embedded.home import Home\n"
    hold += "with Home(Path(sys.argv[1])).lock(): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", hold, str(home.path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
    began = time.monotonic()
    with home.lock():
        assert time.monotonic() - began < 5
