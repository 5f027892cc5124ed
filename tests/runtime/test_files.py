"""A file appears whole or not at all, whatever the disk says, and what it says becomes one sentence."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from microaunet_runtime.errors import InputError
from microaunet_runtime.files import (
    explained,
    read_bytes,
    read_json,
    replacing,
    replacing_folder,
    user_folder,
    write_bytes,
)


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EIO, errno.EFBIG, errno.ENAMETOOLONG, errno.ENOSPC, errno.ESTALE]
)
def test_every_error_of_the_disk_names_the_file_and_a_remedy(number: int) -> None:
    with pytest.raises(InputError, match=r"here\.png.*(choose|free some)"), explained(Path("here.png")):
        raise OSError(number, os.strerror(number))


def test_a_name_as_long_as_a_disk_takes_can_be_written_and_a_longer_one_is_one_sentence(
    tmp_path: Path,
) -> None:
    longest = tmp_path / ("é" * 125 + ".json")  # 255 bytes
    write_bytes(longest, b"whole")
    assert longest.read_bytes() == b"whole"
    with pytest.raises(InputError, match="file name too long"):
        write_bytes(tmp_path / ("x" * 300), b"")
    assert list(tmp_path.iterdir()) == [longest]


def test_a_file_larger_than_the_account_allows_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from microaunet_runtime.errors import InputError\n"
        "from microaunet_runtime.files import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_bytes(Path(sys.argv[1]) / 'large', bytes(9000))\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    )
    assert "larger than this disk or account allows" in done.stdout
    assert not list(tmp_path.iterdir())


def test_rights_follow_the_umask_and_the_umask_is_left_alone(tmp_path: Path) -> None:
    """It belongs to the whole process: another thread's file would get rights that nobody chose."""
    seen: set[int] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            status = Path("/proc/self/status").read_text()
            seen.add(int(status.split("Umask:")[1].split()[0], 8))

    before = os.umask(0o027)
    watcher = threading.Thread(target=watch)
    try:
        if "Umask:" not in Path("/proc/self/status").read_text():
            pytest.skip("this kernel does not show the umask")
        watcher.start()
        for index in range(300):
            write_bytes(tmp_path / f"{index}", b"")
        with replacing_folder(tmp_path / "folder"):
            pass
    finally:
        done.set()
        watcher.join()
        os.umask(before)
    assert seen == {0o027}
    assert (tmp_path / "0").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "manifest.json").write_text("old")
    rename = Path.rename
    calls: list[Path] = []

    def failing(self: Path, target: Path) -> Path:  # no disk fails at the second rename when asked to
        calls.append(self)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(InputError, match="input/output error"), replacing_folder(folder) as new:
        (new / "manifest.json").write_text("new")
    assert (folder / "manifest.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_replaces_another_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with replacing_folder(tmp_path / "bundle") as folder:
            (folder / "manifest.json").write_text(content)
    assert (tmp_path / "bundle" / "manifest.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "device", "loop", "zero byte", "too large"])
def test_only_regular_files_of_a_fitting_size_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "zero byte":
        path = tmp_path / "fi\0le"
    elif kind == "too large":
        path.write_bytes(bytes(101))
    with pytest.raises(InputError, match=r"file|/dev/zero"):
        read_bytes(path, 100)


@pytest.mark.parametrize(
    "text", ["NaN", '{"p50": Infinity}', "[-Infinity]", "[" * 100_000, "1" * 5_000, "\xff"]
)
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "figures.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match="not valid JSON"):
        read_json(path)


def test_a_users_folder_is_what_the_variable_names_or_lies_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert user_folder("XDG_CACHE_HOME", ".cache") == Path("/cache")
    for nothing in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", nothing)
        assert user_folder("XDG_CACHE_HOME", ".cache") == Path("/home/someone/.cache")


def test_a_user_without_a_home_is_one_sentence() -> None:
    """As in a container that runs as any number: no HOME, and no entry in the list of users."""
    if os.geteuid():
        pytest.skip("becoming another user needs root")
    script = (
        "import os, sys\n"
        "from microaunet_runtime.errors import InputError\n"
        "from microaunet_runtime.files import user_folder\n"
        "os.environ.pop('HOME', None); os.environ.pop('XDG_STATE_HOME', None)\n"
        "os.setuid(54321)\n"
        "try: user_folder('XDG_STATE_HOME', '.local')\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "set HOME, or XDG_STATE_HOME" in done.stdout
