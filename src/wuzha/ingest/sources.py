"""What a path holds: files, folders and archives, taken apart to single files in one fixed order.

Kept true here: every file found is either yielded or told as a problem; an archive unpacks to no more than its cap.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wuzha.events.clock import zone

#: One archive may unpack to this many bytes, hold this many files, and archives may stand in archives so deep.
MAX_UNPACKED = 8 * 1024**3
MAX_MEMBERS = 20_000
MAX_DEPTH = 4
#: Beyond this growth an archive is a bomb (deflate of text reaches about 100, of zeros 1000).
MAX_RATIO = 400
RATIO_FLOOR = 64 * 1024**2

_SKIPPED_NAMES = {"thumbs.db", "desktop.ini", ".ds_store"}


@dataclass(frozen=True, kw_only=True)
class Item:
    """One file's bytes with the name that users know it by (``案卷.zip/流水/a.csv``) and when it was last changed."""

    name: str
    data: bytes
    changed: datetime | None

    @property
    def suffix(self) -> str:
        """Lower-case suffix of its name, with the dot."""
        return Path(self.name).suffix.lower()


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A file that cannot be opened at all: reason code and words."""

    name: str
    reason: str
    message: str


def items(paths: list[Path]) -> Iterator[Item | Problem]:
    """The single files behind ``paths`` (files, folders, zip and gz), in order of path; folders by name."""
    for path in paths:
        if path.is_dir():
            for inner in sorted(p for p in path.rglob("*") if p.is_file()):
                if not _skipped(str(inner.relative_to(path))):
                    yield from _open(inner, str(Path(path.name) / inner.relative_to(path)))
        else:
            yield from _open(path, path.name)


def size(paths: list[Path]) -> int:
    """Bytes behind ``paths``, for the progress bar."""
    total = 0
    for path in paths:
        inside = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
        total += sum(p.stat().st_size for p in inside)
    return total


def _skipped(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return (
        "__MACOSX" in parts
        or parts[-1].lower() in _SKIPPED_NAMES
        or parts[-1].startswith(("~$", "._"))
        or any(part.startswith(".") and part not in (".", "..") for part in parts)
    )


def _open(path: Path, name: str) -> Iterator[Item | Problem]:
    try:
        data = path.read_bytes()
        changed = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    except OSError as error:
        yield Problem(name=name, reason="unreadable_file", message=f"文件打不开：{error.strerror or error}")
        return
    yield from _unpack(Item(name=name, data=data, changed=changed), 0)


def _unpack(item: Item, depth: int) -> Iterator[Item | Problem]:
    if item.data[:2] == b"\x1f\x8b":
        yield from _gunzip(item, depth)
    elif item.data[:4] in (b"PK\x03\x04", b"PK\x05\x06") and item.suffix not in (".xlsx", ".xlsm", ".xlsb", ".ods"):
        yield from _unzip(item, depth)
    elif item.data[:2] == b"PK" and item.suffix == ".zip":
        yield Problem(name=item.name, reason="corrupt_file", message="压缩包已损坏")
    else:
        yield item


def _gunzip(item: Item, depth: int) -> Iterator[Item | Problem]:
    if depth >= MAX_DEPTH:
        yield Problem(name=item.name, reason="archive_too_deep", message=f"压缩层数超过{MAX_DEPTH}层")
        return
    cap = min(MAX_UNPACKED, max(RATIO_FLOOR, len(item.data) * MAX_RATIO))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(item.data)) as file:
            data = file.read(cap + 1)
    except (OSError, EOFError, zlib.error) as error:
        yield Problem(name=item.name, reason="corrupt_file", message=f"压缩文件已损坏：{error}")
        return
    if len(data) > cap:
        yield Problem(name=item.name, reason="archive_too_large", message="解压后过大，疑似压缩炸弹")
        return
    name = item.name[:-3] if item.name.lower().endswith(".gz") else item.name
    yield from _unpack(Item(name=name, data=data, changed=item.changed), depth + 1)


def _member_name(info: zipfile.ZipInfo) -> str:
    """Names without the UTF-8 flag are GBK on the machines that they come from."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        raw = info.filename.encode("cp437")
    except UnicodeEncodeError:
        return info.filename
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def _unzip(item: Item, depth: int) -> Iterator[Item | Problem]:
    if depth >= MAX_DEPTH:
        yield Problem(name=item.name, reason="archive_too_deep", message=f"压缩层数超过{MAX_DEPTH}层")
        return
    try:
        archive = zipfile.ZipFile(io.BytesIO(item.data))
        members = [info for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        yield Problem(name=item.name, reason="corrupt_file", message="压缩包已损坏，打不开")
        return
    if "xl/workbook.xml" in archive.namelist() or "xl/workbook.bin" in archive.namelist():
        yield item  # a workbook under another name
        return
    if len(members) > MAX_MEMBERS:
        yield Problem(name=item.name, reason="archive_too_large", message=f"压缩包内文件多于{MAX_MEMBERS}个")
        return
    left = min(MAX_UNPACKED, max(RATIO_FLOOR, len(item.data) * MAX_RATIO))
    for info in sorted(members, key=_member_name):
        inner = _member_name(info)
        if _skipped(inner):
            continue
        name = f"{item.name}/{inner}"
        if info.flag_bits & 0x1:
            yield Problem(name=name, reason="encrypted", message="压缩包有密码，请解密后导入")
            continue
        try:
            with archive.open(info) as file:
                data = file.read(left + 1)
        except (
            zipfile.BadZipFile,
            OSError,
            EOFError,
            zlib.error,
            ValueError,
            NotImplementedError,
            RuntimeError,
        ):
            yield Problem(name=name, reason="corrupt_file", message="压缩包内文件已损坏，打不开")
            continue
        left -= len(data)
        if left < 0:
            yield Problem(name=name, reason="archive_too_large", message="解压后过大，疑似压缩炸弹；此后的文件未读")
            return
        yield from _unpack(Item(name=name, data=data, changed=_member_time(info)), depth + 1)


def _member_time(info: zipfile.ZipInfo) -> datetime | None:
    try:
        return datetime(*info.date_time, tzinfo=zone()).astimezone(UTC)
    except ValueError:
        return None
