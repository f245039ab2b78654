"""Finding vendor libraries: every place in its turn, and messages that say what is missing and what helps."""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from netforge.device import libraries
from netforge.device.cudnn_descriptors import CudnnFunctions
from netforge.device.libraries import CUBLAS, CUDNN, load, release_with, report
from netforge.errors import DeviceError
from tests.cudashim.vendor.build import build_cublas, build_cudnn, build_text, has_compiler

# Under a name that no system has, so that only what a test puts somewhere can be found.
ODD = replace(CUDNN, file="libnetforge_odd.so", variable="NETFORGE_ODD", uses=())


@pytest.fixture(autouse=True)
def site(monkeypatch, tmp_path) -> Path:
    """The one folder that Python imports from; no variable is set that names a library or its folder."""
    if not has_compiler():
        pytest.skip("no C++ compiler: install g++ to build the stand-ins for NVIDIA's libraries")
    for variable in ("NETFORGE_ODD", "NETFORGE_CUDNN", "NETFORGE_CUBLAS", "CUDA_PATH", "CUDA_HOME", "CONDA_PREFIX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(libraries, "CUDA_FOLDERS", (str(tmp_path / "usr" / "cuda"),))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    return tmp_path / "site"


@pytest.fixture(scope="module")
def built() -> dict[tuple[int, int], Path]:
    """Stand-ins by version of CUDA and of cuDNN."""
    return {(cuda, version): build_cudnn(cuda, version) for cuda, version in ((12, 9), (12, 8), (13, 9), (12, 7))}


def put(file: Path, folder: Path, name: str = "libnetforge_odd.so.9") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return str(shutil.copy(file, folder / name))


def message(cuda: int = 12) -> str:
    """The whole error of a search that must fail."""
    with pytest.raises(DeviceError) as caught:
        load(ODD, cuda)
    return str(caught.value)


@pytest.mark.parametrize(
    ("variable", "folder", "origin"),
    [
        (None, "site/nvidia/cudnn/lib", "pip"),
        ("CONDA_PREFIX", "conda/lib", "conda"),
        ("CUDA_PATH", "cuda/lib64", "CUDA_PATH"),
        ("CUDA_HOME", "cuda/lib", "CUDA_HOME"),
        ("CUDA_HOME", "cuda/targets/x86_64-linux/lib", "CUDA_HOME"),
        (None, "usr/cuda/lib64", "{}/usr/cuda"),
    ],
)
def test_each_place_is_searched(built, monkeypatch, tmp_path, variable, folder, origin):
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / folder.partition("/")[0]))
    path = put(built[12, 9], tmp_path / folder)
    found = load(ODD, 12)
    assert (found.title, found.path, found.version) == ("cuDNN", path, (9, 4, 1))
    assert found.origin == origin.format(tmp_path)
    assert found.describe() == f"cuDNN 9.4.1 ({path}, {found.origin})"


def test_pip_comes_before_conda_and_that_before_cuda(built, monkeypatch, tmp_path, site):
    places = {"pip": site / "nvidia/cudnn/lib", "conda": tmp_path / "conda/lib", "CUDA_PATH": tmp_path / "cuda/lib64"}
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    monkeypatch.setenv("CUDA_PATH", str(tmp_path / "cuda"))
    paths = {origin: put(built[12, 9], folder) for origin, folder in places.items()}
    for origin, path in paths.items():
        assert load(ODD, 12).origin == origin
        os.remove(path)
    assert "no cuDNN for CUDA 12" in message()


def test_the_system_linker_is_asked(built, tmp_path):
    put(built[12, 9], tmp_path / "linked")
    code = (
        "from dataclasses import replace; from netforge.device.libraries import CUDNN, load\n"
        "print(load(replace(CUDNN, file='libnetforge_odd.so', uses=()), 12).describe())"
    )
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path / "linked")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == f"cuDNN 9.4.1 ({tmp_path}/linked/libnetforge_odd.so.9, system)\n", done.stderr


def test_what_is_loaded_already_is_used(tmp_path, site):
    text = 'extern "C" int cudnnGetProperty(int kind, int* value) { *value = 9; return 0; }'
    loaded = build_text(text, soname="libnetforge_loaded.so.9")
    keep = ctypes.CDLL(str(loaded))
    put(loaded, site / "nvidia/cudnn/lib", "libnetforge_loaded.so.9")
    found = load(replace(ODD, file="libnetforge_loaded.so"), 12)
    assert (found.path, found.origin) == (str(loaded), "already loaded")
    assert keep.cudnnGetProperty is not None


def test_newer_versions_come_first(built, site):
    put(built[12, 8], site / "nvidia/cudnn/lib", "libnetforge_odd.so.8")
    assert load(ODD, 12).version == (8, 4, 1)
    put(built[12, 9], site / "nvidia/cudnn/lib")
    assert load(ODD, 12).version == (9, 4, 1)


def test_cuda_13_has_no_cudnn_8(built, site):
    put(built[12, 8], site / "nvidia/cudnn/lib", "libnetforge_odd.so.8")
    text = message(13)
    assert "looked for libnetforge_odd.so.9 in " in text and "so.8" not in text


def test_libraries_for_another_cuda_are_passed_over(built, monkeypatch, tmp_path, site):
    put(built[13, 9], site / "nvidia/cudnn/lib")
    monkeypatch.setenv("CUDA_PATH", str(tmp_path / "cuda"))
    path = put(built[12, 9], tmp_path / "cuda/lib64")
    assert load(ODD, 12).path == path


def test_nothing_found_says_where_it_was_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    assert message() == (
        "no cuDNN for CUDA 12: looked for libnetforge_odd.so.9 or libnetforge_odd.so.8 in nvidia/*/lib of the folders "
        f"that Python imports from, {tmp_path}/conda/lib (CONDA_PREFIX), the system's linker, {tmp_path}/cuda "
        f"(CUDA_HOME), {tmp_path}/usr/cuda. Run: pip install nvidia-cudnn-cu12, or set NETFORGE_ODD to the path of "
        "the file."
    )


@pytest.mark.parametrize(
    ("wanted", "cuda", "command"),
    [
        (CUDNN, 11, "pip install nvidia-cudnn-cu11"),
        (CUDNN, 13, "pip install nvidia-cudnn-cu13"),
        (CUBLAS, 11, "pip install nvidia-cublas-cu11"),
        (CUBLAS, 12, "pip install nvidia-cublas-cu12"),
        (CUBLAS, 13, 'pip install "nvidia-cublas==13.*"'),
    ],
)
def test_the_command_fits_the_version_of_cuda(wanted, cuda, command):
    with pytest.raises(DeviceError) as caught:
        load(replace(wanted, file="libnetforge_odd.so", uses=()), cuda)
    assert f"Run: {command}, or set" in str(caught.value)


def test_a_wheel_for_another_cuda_has_to_go_first(built, site):
    path = put(built[13, 9], site / "nvidia/cudnn/lib")
    text = message()
    assert f"{path} was built for CUDA 13, expected CUDA 12" in text
    assert "Run: pip uninstall -y nvidia-cudnn-cu13 && pip install nvidia-cudnn-cu12, or" in text


def test_a_damaged_file_is_named(site):
    folder = site / "nvidia/cudnn/lib"
    folder.mkdir(parents=True)
    (folder / "libnetforge_odd.so.9").write_text("not a library")
    assert f"{folder}/libnetforge_odd.so.9 cannot be loaded (" in message()


def test_a_version_of_cuda_that_nobody_has_met():
    assert message(10) == "cuDNN for CUDA 10 is unknown to this version of netforge. Install CuPy for CUDA 11, 12, 13."


def test_the_variable_overrides_the_search(built, monkeypatch, tmp_path, site):
    put(built[12, 9], site / "nvidia/cudnn/lib")
    path = put(built[12, 8], tmp_path / "mine", "any name")
    monkeypatch.setenv("NETFORGE_ODD", path)
    found = load(ODD, 12)
    assert (found.path, found.origin, found.version[0]) == (path, "NETFORGE_ODD", 8)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (None, "cannot be loaded ("),
        ((13, 9), "was built for CUDA 13, expected CUDA 12"),
        ((12, 7), "is version 7.4.1, expected 9 or 8"),
        ("int nothing;", "is not cuDNN: cudnnGetProperty does not answer"),
    ],
    ids=["missing", "other CUDA", "too old", "something else"],
)
def test_an_override_that_does_not_fit_is_an_error(built, monkeypatch, tmp_path, site, file, reason):
    put(built[12, 9], site / "nvidia/cudnn/lib")  # must not be used instead
    path = tmp_path / "missing.so"
    if file:
        path = build_text(file) if isinstance(file, str) else built[file]
    monkeypatch.setenv("NETFORGE_ODD", str(path))
    text = message()
    assert text.startswith(f"NETFORGE_ODD: no cuDNN for CUDA 12: {path} {reason}")
    assert "Let NETFORGE_ODD name a file libnetforge_odd.so.9 or libnetforge_odd.so.8, or unset it" in text


def test_an_override_may_be_a_bare_name(monkeypatch):
    monkeypatch.setenv("NETFORGE_ODD", "libnetforge_nowhere.so")
    assert "NETFORGE_ODD: no cuDNN for CUDA 12: libnetforge_nowhere.so cannot be loaded (" in message()


def test_a_missing_function_is_named(monkeypatch):
    text = 'extern "C" int cudnnGetProperty(int kind, int* value) { *value = 9; return 0; }'
    path = build_text(text)
    monkeypatch.setenv("NETFORGE_ODD", str(path))
    with pytest.raises(DeviceError) as caught:
        CudnnFunctions(load(ODD, 12))
    assert str(caught.value) == (
        f"cuDNN 9.9.9 ({path}, NETFORGE_ODD) has no function cudnnCreate. Install a version of cuDNN that has it."
    )


def test_what_a_library_opens_by_name_is_loaded_before_it(site):
    # As cuDNN opens cuBLAS: by bare name, which the linker only knows once it has been loaded from its folder.
    opened = "libnetforge_opened.so.9"
    put(build_text("int opened;", soname=opened), site / "nvidia/other/lib", opened)
    opener = f"""#include <dlfcn.h>
        extern "C" int cudnnGetProperty(int kind, int* value) {{
            *value = 9;
            return dlopen("{opened}", RTLD_NOW) == nullptr;
        }}"""
    put(build_text(opener), site / "nvidia/cudnn/lib")
    assert "cudnnGetProperty does not answer" in message()
    used = replace(ODD, title="other", file="libnetforge_opened.so", version_function=None, cuda_function=None)
    assert load(replace(ODD, uses=(used,)), 12).version == (9, 9, 9)


def test_what_a_library_opens_beside_it_is_loaded_before_it(site):
    # As NVRTC opens its builtins: by bare name too, from its own folder.
    folder, opened = site / "nvidia/cudnn/lib", "libnetforge_beside.so.9"
    put(build_text("int opened;", soname=opened), folder, opened)
    (folder / "libnetforge_beside.so.8").write_bytes(b"no library: passed over")
    opener = f"""#include <dlfcn.h>
        extern "C" int cudnnGetProperty(int kind, int* value) {{
            *value = 9;
            return dlopen("{opened}", RTLD_NOW) == nullptr;
        }}"""
    put(build_text(opener), folder)
    assert "cudnnGetProperty does not answer" in message()
    assert load(replace(ODD, beside="libnetforge_beside.so.*"), 12).version == (9, 9, 9)


def test_the_report_has_a_line_for_each_library(built, monkeypatch):
    monkeypatch.setattr(libraries, "CUDNN", ODD)
    monkeypatch.setenv("NETFORGE_CUBLAS", str(build_cublas()))
    monkeypatch.setattr(libraries, "NVRTC", replace(ODD, title="NVRTC"))
    compiler, first, second = report(12)
    assert compiler.startswith("no NVRTC for CUDA 12: ")
    assert first == f"cuBLAS 12.2.3 ({build_cublas()}, NETFORGE_CUBLAS)"
    assert second.startswith("no cuDNN for CUDA 12: ") and "pip install nvidia-cudnn-cu12" in second


class Owner:
    """Something that can be waited for to go."""


def test_resources_go_with_their_owner_in_their_own_process_only(monkeypatch):
    released = []
    first, second = Owner(), Owner()
    release_with(first, released.append, ctypes.c_void_p(1))
    release_with(second, released.append, ctypes.c_void_p(2))
    del first
    gc.collect()
    assert [resource.value for resource in released] == [1]
    here = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: here + 1)  # as a forked child sees it
    del second
    gc.collect()
    assert len(released) == 1
