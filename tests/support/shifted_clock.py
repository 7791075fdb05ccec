"""A clock that a test sets, under a real daemon: a library that is loaded before libc."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static long shift_s(void) {
    const char *path = getenv("MD_CLOCK_FILE");
    FILE *file = path ? fopen(path, "r") : NULL;
    long shift = 0;
    if (file) {
        if (fscanf(file, "%ld", &shift) != 1) shift = 0;
        fclose(file);
    }
    return shift;
}
int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, time);
    if (clock == CLOCK_REALTIME) time->tv_sec += shift_s();
    return status;
}
"""


class ShiftedClock:
    """Only the wall clock is shifted; CLOCK_MONOTONIC goes on as ever."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler: the daemon's clock cannot be set")
        source, library = folder / "clock.c", folder / "clock.so"
        self._file = folder / "clock"
        source.write_text(SOURCE)
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True)
        self.variables = {"LD_PRELOAD": str(library), "MD_CLOCK_FILE": str(self._file)}
        self.set(0)

    def set(self, shift_s: int) -> None:
        """Let the clock show so many seconds more than it is; one rename, so never half."""
        new = self._file.with_suffix(".new")
        new.write_text(str(shift_s))
        new.replace(self._file)
