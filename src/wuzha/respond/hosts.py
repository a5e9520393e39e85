"""How a machine beside ours is named in the settings, and the password that it knows us by."""

from __future__ import annotations

from pathlib import Path


def host_port(text: str, port: int) -> tuple[str, int]:
    """``host`` or ``host:port``, ``[v6]:port``. ValueError where it is none."""
    host, sep, rest = text.strip().rpartition(":")
    if not sep or rest.endswith("]"):
        host, rest = text.strip(), str(port)
    if not host or not rest.isdigit() or not 0 <= int(rest) <= 65535:
        raise ValueError(f"{text!r} is no host:port")
    return host.strip("[]"), int(rest)


def secret(file: Path | None) -> str:
    """What stands in a password file; empty without one. ValueError where it is open to others, missing or empty."""
    if file is None:
        return ""
    try:
        if file.stat().st_mode & 0o077:
            raise ValueError(f"{file} can be read by others; chmod 600 {file}")
        word = file.read_text("utf-8").strip("\r\n")
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from error
    if not word:
        raise ValueError(f"{file} is empty")
    return word
