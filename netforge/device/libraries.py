"""Finding and loading NVIDIA's shared libraries for the CUDA version that CuPy uses.

A library is taken from the first of these places that has a fitting one; the order is that of CuPy's own search, so
that both use one copy:

    1. the file that the library's environment variable names (NETFORGE_CUDNN, NETFORGE_CUBLAS): then only that one
    2. this process, where CuPy or another package has loaded it already
    3. pip wheels: nvidia/*/lib in the folders that Python imports from
    4. conda: $CONDA_PREFIX/lib
    5. the system's linker: LD_LIBRARY_PATH, ldconfig
    6. $CUDA_PATH, $CUDA_HOME, /usr/local/cuda: lib64, lib, targets/*/lib

A library that was built for another major version of CUDA is passed over. Names are those of Linux, the one system
that CuPy has wheels for in all three of CUDA 11, 12 and 13.
"""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from netforge.errors import DeviceError

Function = Callable[..., Any]

CUDA_FOLDERS = ("/usr/local/cuda",)
"""Where CUDA lies when neither CUDA_PATH nor CUDA_HOME says so."""


@dataclass(frozen=True)
class VendorLibrary:
    """A library that netforge knows how to find.

    title: its name for people. file: its file's name up to the version. versions: for each major version of CUDA the
    file name's versions that fit, the preferred one first. packages: for each, pip's name of the wheel that brings it.
    variable: the environment variable that overrides the search. version_function: its "GetProperty", which answers
    with the three parts of the version. cuda_function: answers with the CUDA version that it was built for, times
    1000; without one, its own major version is CUDA's. uses: libraries that it opens itself, by bare file name:
    those from pip are not on the linker's path, but a library loaded earlier is found by name. beside: pattern of such
    files that lie in its own folder.
    """

    title: str
    file: str
    versions: Mapping[int, tuple[str, ...]] = field(hash=False)
    packages: Mapping[int, str] = field(hash=False)
    variable: str | None = None
    version_function: str | None = None
    cuda_function: str | None = None
    uses: tuple[VendorLibrary, ...] = ()
    beside: str | None = None

    def names(self, cuda: int) -> tuple[str, ...]:
        """File names that fit major version `cuda` of CUDA; raises DeviceError where that version is unknown."""
        if cuda not in self.versions:
            raise DeviceError(
                f"{self.title} for CUDA {cuda} is unknown to this version of netforge",
                mend=f"install CuPy for CUDA {', '.join(map(str, self.versions))}",
            )
        return tuple(f"{self.file}.{version}" for version in self.versions[cuda])


@dataclass(frozen=True)
class Library:
    """A loaded library. version: e.g. (9, 10, 2); empty where it cannot tell. origin: which of the places had it."""

    title: str
    path: str
    origin: str
    version: tuple[int, ...]
    handle: ctypes.CDLL = field(repr=False, compare=False)

    def function(self, name: str, *arguments: Any, result: Any = ctypes.c_int) -> Function:
        """The function `name` with its C types declared; raises DeviceError where the library lacks it."""
        try:
            function = self.handle[name]
        except AttributeError:
            raise DeviceError(
                f"{self.describe()} has no function {name}", mend=f"install a version of {self.title} that has it"
            ) from None
        function.argtypes = arguments
        function.restype = result
        return function

    def describe(self) -> str:
        """Title, version and place in one line."""
        version = ".".join(map(str, self.version))
        return f"{self.title}{' ' + version if version else ''} ({self.path}, {self.origin})"


NVRTC = VendorLibrary(
    title="NVRTC",
    file="libnvrtc.so",
    versions={11: ("11.2",), 12: ("12",), 13: ("13",)},
    packages={11: "nvidia-cuda-nvrtc-cu11", 12: "nvidia-cuda-nvrtc-cu12", 13: "nvidia-cuda-nvrtc"},
    beside="libnvrtc-builtins.so.*",
)
CUBLAS_LT = VendorLibrary(
    title="cuBLASLt",
    file="libcublasLt.so",
    versions={11: ("11",), 12: ("12",), 13: ("13",)},
    packages={11: "nvidia-cublas-cu11", 12: "nvidia-cublas-cu12", 13: '"nvidia-cublas==13.*"'},
)
CUBLAS = VendorLibrary(
    title="cuBLAS",
    file="libcublas.so",
    versions=CUBLAS_LT.versions,
    packages=CUBLAS_LT.packages,
    variable="NETFORGE_CUBLAS",
    version_function="cublasGetProperty",
    uses=(CUBLAS_LT,),
)
CUDNN = VendorLibrary(
    title="cuDNN",
    file="libcudnn.so",
    versions={11: ("9", "8"), 12: ("9", "8"), 13: ("9",)},
    packages={11: "nvidia-cudnn-cu11", 12: "nvidia-cudnn-cu12", 13: "nvidia-cudnn-cu13"},
    variable="NETFORGE_CUDNN",
    version_function="cudnnGetProperty",
    cuda_function="cudnnGetCudartVersion",
    uses=(CUBLAS_LT, CUBLAS, NVRTC),
)


def load(wanted: VendorLibrary, cuda: int) -> Library:
    """Find and load a library for major version `cuda` of CUDA.

    Raises DeviceError, which says what was looked for, where, why what was found there does not fit, and how to
    install it.
    """
    names = wanted.names(cuda)
    override = os.environ.get(wanted.variable) if wanted.variable else None
    places: Iterator[tuple[str, str]] = iter([(override, str(wanted.variable))]) if override else _places(names)
    _load_used(wanted, cuda)
    refused: dict[str, _Refusal] = {}
    for path, origin in places:
        try:
            handle = _open(wanted, path, origin)
        except OSError as error:
            if os.path.isabs(path) or override:  # a bare name that nobody knows is no news
                refused[path] = _Refusal(f"cannot be loaded ({error})")
            continue
        file = _file_of(handle, wanted) or path
        version = _version(handle, wanted)
        if refusal := _misfit(handle, wanted, version, cuda):
            refused[file] = refusal
            continue
        return Library(wanted.title, file, origin, version, handle)
    raise _not_found(wanted, cuda, override, refused)


def report(cuda: int) -> list[str]:
    """One line for each library that the CUDA device uses: what was found, or how to install what was not."""
    lines = []
    for wanted in (NVRTC, CUBLAS, CUDNN):
        try:
            lines.append(load(wanted, cuda).describe())
        except DeviceError as error:
            lines.append(str(error))
    return lines


def _load_used(wanted: VendorLibrary, cuda: int) -> None:
    """Load what `wanted` opens by bare name; where one is missing, it is left to `wanted` to look and to complain.

    The linker knows a loaded library by its name, so its symbols need not be made global.
    """
    for used in wanted.uses:
        for path, origin in _places(used.names(cuda)):
            try:
                _open(used, path, origin)
            except OSError:
                continue
            break


_LOADED = "already loaded"
_MODES = {_LOADED: getattr(os, "RTLD_NOLOAD", 0)}


def _open(wanted: VendorLibrary, path: str, origin: str) -> ctypes.CDLL:
    """Load a file, after those beside it that it will ask the linker for; raises OSError where that fails."""
    if wanted.beside and os.path.isabs(path):
        for file in sorted(Path(path).parent.glob(wanted.beside)):
            with suppress(OSError):  # the library itself says what it lacks
                ctypes.CDLL(str(file))
    return ctypes.CDLL(path, mode=_MODES.get(origin, ctypes.DEFAULT_MODE))


def _places(names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(path or bare name, origin) of all candidates, the preferred one first."""
    if hasattr(os, "RTLD_NOLOAD"):
        yield from ((name, _LOADED) for name in names)
    for name in names:
        for folder in sys.path:
            yield from ((str(found), "pip") for found in sorted(Path(folder or ".").glob(f"nvidia/*/lib/{name}")))
    if conda := os.environ.get("CONDA_PREFIX"):
        yield from ((str(found), "conda") for name in names for found in Path(conda, "lib").glob(name))
    yield from ((name, "system") for name in names)
    for origin, folder in _cuda_folders():
        for name in names:
            for inner in ("lib64", "lib", "targets/*/lib"):
                yield from ((str(found), origin) for found in sorted(Path(folder).glob(f"{inner}/{name}")))


def _cuda_folders() -> Iterator[tuple[str, str]]:
    for variable in ("CUDA_PATH", "CUDA_HOME"):
        if folder := os.environ.get(variable):
            yield variable, folder
    yield from ((folder, folder) for folder in CUDA_FOLDERS)


def _version(handle: ctypes.CDLL, wanted: VendorLibrary) -> tuple[int, ...]:
    """Major, minor and patch version as the library itself tells them."""
    if wanted.version_function is None or not hasattr(handle, wanted.version_function):
        return ()
    get_property = handle[wanted.version_function]
    get_property.argtypes = (ctypes.c_int, ctypes.POINTER(ctypes.c_int))
    parts = []
    for kind in range(3):  # libraryPropertyType: MAJOR_VERSION, MINOR_VERSION, PATCH_LEVEL
        value = ctypes.c_int()
        if get_property(kind, ctypes.byref(value)):
            return ()
        parts.append(value.value)
    return tuple(parts)


@dataclass(frozen=True)
class _Refusal:
    """Why a file is not the library that is wanted; built_for: the major version of CUDA that it fits, if another."""

    reason: str
    built_for: int | None = None


def _misfit(handle: ctypes.CDLL, wanted: VendorLibrary, version: tuple[int, ...], cuda: int) -> _Refusal | None:
    """Why a library that could be loaded is not the one that is wanted; None where it is."""
    if wanted.version_function and not version:
        return _Refusal(f"is not {wanted.title}: {wanted.version_function} does not answer")
    majors = wanted.versions[cuda]
    if version and str(version[0]) not in majors:
        return _Refusal(f"is version {'.'.join(map(str, version))}, expected {' or '.join(majors)}")
    if wanted.cuda_function and hasattr(handle, wanted.cuda_function):
        get_version = handle[wanted.cuda_function]
        get_version.restype = ctypes.c_size_t
        if (built_for := get_version() // 1000) != cuda:
            return _Refusal(f"was built for CUDA {built_for}, expected CUDA {cuda}", built_for)
    return None


class _SymbolInfo(ctypes.Structure):
    """Dl_info of dladdr(3)."""

    _fields_ = [
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


def _file_of(handle: ctypes.CDLL, wanted: VendorLibrary) -> str | None:
    """The file that a library was loaded from, which a bare name does not tell."""
    process = ctypes.CDLL(None)
    if wanted.version_function is None or not (hasattr(handle, wanted.version_function) and hasattr(process, "dladdr")):
        return None
    address = ctypes.cast(handle[wanted.version_function], ctypes.c_void_p)
    info = _SymbolInfo()
    found = process.dladdr(address, ctypes.byref(info))
    return os.fsdecode(info.file) if found and info.file else None


def _not_found(wanted: VendorLibrary, cuda: int, override: str | None, refused: Mapping[str, _Refusal]) -> DeviceError:
    names = " or ".join(wanted.names(cuda))
    reasons = "; ".join(f"{file} {refusal.reason}" for file, refusal in refused.items())
    if override:
        return DeviceError(
            f"no {wanted.title} for CUDA {cuda}: {reasons}",
            where=wanted.variable,
            mend=f"let {wanted.variable} name a file {names}, or unset it to search for one",
        )
    conda = os.environ.get("CONDA_PREFIX")
    places = [
        "nvidia/*/lib of the folders that Python imports from",
        *([f"{conda}/lib (CONDA_PREFIX)"] if conda else []),
        "the system's linker",
        *(folder if origin == folder else f"{folder} ({origin})" for origin, folder in _cuda_folders()),
    ]
    found = f"no {wanted.title} for CUDA {cuda}: looked for {names} in {', '.join(places)}"
    choice = f", or set {wanted.variable} to the path of the file" if wanted.variable else ""
    return DeviceError(
        f"{found}; {reasons}" if reasons else found, mend=f"run: {_pip_command(wanted, cuda, refused)}{choice}"
    )


def _pip_command(wanted: VendorLibrary, cuda: int, refused: Mapping[str, _Refusal]) -> str:
    """The command that installs a library; wheels for two versions of CUDA overwrite each other's files."""
    others = {r.built_for for file, r in refused.items() if r.built_for and f"{os.sep}nvidia{os.sep}" in file}
    remove = "".join(f"pip uninstall -y {wanted.packages[other]} && " for other in others if other in wanted.packages)
    return f"{remove}pip install {wanted.packages[cuda]}"


class Memory(Protocol):
    """Memory of a device, freed with the object, such as CuPy's MemoryPointer. ptr: its address, 256-byte aligned."""

    @property
    def ptr(self) -> int:
        """Address of the first byte."""


Allocate = Callable[[int], Memory]
"""Gives so many bytes of the current device's memory, as `cupy.cuda.alloc` does."""


def release_with(owner: object, destroy: Function, resource: ctypes.c_void_p) -> None:
    """Call destroy(resource) when `owner` goes or the interpreter ends, latest made first.

    What it answers is ignored: at the end of a process the driver may have gone before. A forked child leaves its
    parent's resources alone.
    """
    weakref.finalize(owner, _release, destroy, resource, os.getpid())


def _release(destroy: Function, resource: ctypes.c_void_p, process: int) -> None:
    if process == os.getpid():
        destroy(resource)
