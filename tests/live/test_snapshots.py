"""A snapshot is whole or it is not used."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wuzha.live import snapshots
from wuzha.live.snapshots import BadSnapshot, Snapshot


def some(position: int) -> Snapshot:
    record = np.zeros(3, dtype=np.dtype([("key", "<u8"), ("n", "<i4", (2,)), ("kind", "u1")], align=True))
    record["key"] = position
    return Snapshot(
        position=position,
        arrays={"a": np.arange(position, dtype=np.int64), "empty": np.empty((0, 4), np.uint8), "r": record},
        meta={"marks": {"calls|x": 5}},
    )


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    read = snapshots.read(snapshots.write(tmp_path, some(7)))
    assert read.position == 7 and read.meta == {"marks": {"calls|x": 5}}
    for name, array in some(7).arrays.items():
        assert read.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(read.arrays[name], array)


def test_a_file_torn_at_any_byte_is_never_read(tmp_path: Path) -> None:
    path = snapshots.write(tmp_path, some(9))
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(BadSnapshot):
            snapshots.read(path)
    path.write_bytes(whole)
    assert snapshots.read(path).position == 9


def test_a_large_file_is_checked_in_parts_and_what_is_written_to_its_arrays_stays_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "PART", 1000)
    path = snapshots.write(tmp_path, some(900))
    read = snapshots.read(path)
    assert read.arrays["a"].flags.aligned and read.arrays["r"].flags.aligned
    read.arrays["a"][:] = 1
    np.testing.assert_array_equal(snapshots.read(path).arrays["a"], some(900).arrays["a"])
    whole = path.read_bytes()
    path.write_bytes(whole[:1052] + whole[2052:3052] + whole[1052:2052] + whole[3052:])  # two parts change places
    with pytest.raises(BadSnapshot, match="checksum"):
        snapshots.read(path)


def test_a_snapshot_of_the_format_before_is_read(tmp_path: Path) -> None:
    path = snapshots.write(tmp_path, some(9))
    body = path.read_bytes()[52:]
    path.write_bytes(struct.pack("<8sIQ32s", b"WUZHASNP", 1, len(body), hashlib.sha256(body).digest()) + body)
    assert snapshots.read(path).position == 9
    path.write_bytes(struct.pack("<8sIQ32s", b"WUZHASNP", 1, len(body), hashlib.sha256(b"").digest()) + body)
    with pytest.raises(BadSnapshot):
        snapshots.read(path)


def test_one_flipped_bit_anywhere_is_seen(tmp_path: Path) -> None:
    path = snapshots.write(tmp_path, some(9))
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[at] ^= 0x10
        path.write_bytes(broken)
        with pytest.raises(BadSnapshot):
            snapshots.read(path)


def test_a_bad_checksum_means_the_one_before_and_none_means_from_the_start(tmp_path: Path) -> None:
    first, second = snapshots.write(tmp_path, some(5)), snapshots.write(tmp_path, some(8))
    second.write_bytes(second.read_bytes()[:-3])
    found, passed = snapshots.newest(tmp_path, not_after=100)
    assert found is not None and found.position == 5 and len(passed) == 1
    first.write_bytes(b"")
    assert snapshots.newest(tmp_path, not_after=100)[0] is None


def test_a_snapshot_ahead_of_the_committed_results_is_not_used(tmp_path: Path) -> None:
    snapshots.write(tmp_path, some(5))
    snapshots.write(tmp_path, some(8))
    found, _ = snapshots.newest(tmp_path, not_after=7)
    assert found is not None and found.position == 5


def test_only_the_newest_few_stay(tmp_path: Path) -> None:
    for position in range(1, 8):
        snapshots.write(tmp_path, some(position))
    assert [int(p.stem) for p in snapshots.listing(tmp_path)] == [7, 6, 5]
    assert not list(tmp_path.glob(".*")), "half-written files are not left"


def test_python_objects_are_no_state(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="objects"):
        snapshots.write(tmp_path, Snapshot(position=1, arrays={"x": np.array([{}], object)}))


def test_nobody_else_may_look_into_the_folder(tmp_path: Path) -> None:
    snapshots.write(tmp_path / "snapshots", some(1))
    assert (tmp_path / "snapshots").stat().st_mode & 0o077 == 0


def test_what_could_not_be_written_whole_leaves_nothing(tmp_path: Path) -> None:
    old = snapshots.write(tmp_path, some(5))
    killed = tmp_path / ".00000000000000000007.snapshot.4711"
    killed.write_bytes(b"of a worker that was killed while it wrote")
    # A file of this process may not grow beyond a little: the write itself fails, as on a full disk.
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from wuzha.live import snapshots\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "big = snapshots.Snapshot(position=9, arrays={'a': np.zeros(10**6)})\n"
        "try:\n    snapshots.write(Path(sys.argv[1]), big)\n"
        "except OSError:\n    sys.exit(28)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, tmp_path], check=False).returncode == 28
    assert list(tmp_path.iterdir()) == [old]


def test_what_is_written_beside_the_stream_is_the_state_as_it_was(tmp_path: Path) -> None:
    state = np.zeros(20_000_000, np.int64)
    writing = snapshots.begin(tmp_path, 7, lambda: snapshots.Snapshot(position=7, arrays={"a": state}))
    before = writing.over()  # not yet, on any machine that needs longer than the call to write 160 MB
    state += 1
    assert writing.over(wait=True) and writing.over()
    assert not before
    assert not snapshots.read(writing.path).arrays["a"].any() and state.all()
    assert [p.name for p in tmp_path.iterdir()] == [writing.path.name]


def test_a_writer_that_finds_no_room_says_so_and_one_given_up_leaves_no_snapshot(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    small = snapshots.Snapshot(position=1, arrays={"a": np.zeros(3)})
    with pytest.raises(OSError, match=os.strerror(errno.EEXIST)):
        snapshots.begin(tmp_path / "file", 1, lambda: small).over(wait=True)

    def never() -> snapshots.Snapshot:
        time.sleep(60)
        return small

    writing = snapshots.begin(tmp_path, 1, never)
    writing.abandon()
    assert not snapshots.listing(tmp_path) and writing.over()


def test_a_writer_that_is_killed_is_an_error_of_the_disk_not_of_the_stream(tmp_path: Path) -> None:
    writing = snapshots.begin(tmp_path, 1, lambda: os.kill(os.getpid(), signal.SIGKILL) or pytest.fail("still alive"))
    with pytest.raises(OSError, match="signal 9"):
        writing.over(wait=True)


def test_where_a_partition_behind_may_have_to_begin_stays(tmp_path: Path) -> None:
    for position in range(1, 9):
        snapshots.write(tmp_path, some(position), floor=2)
    assert [int(p.stem) for p in snapshots.listing(tmp_path)] == [8, 7, 6, 2]
    snapshots.write(tmp_path, some(9), floor=8)
    assert [int(p.stem) for p in snapshots.listing(tmp_path)] == [9, 8, 7]
