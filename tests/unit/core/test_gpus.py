"""Which job gets which GPU: pretended devices, real processes."""

import itertools
import os
import signal
import subprocess
import sys
import time

import pytest

from metaswin.core.gpus import hold_one

JOB = """
import sys, time
from metaswin.core.gpus import hold_one
with hold_one(sys.argv[2].split(","), sys.argv[1], 0.05) as number:
    print(sys.argv[2].split(",")[number], time.time(), flush=True)
    time.sleep(float(sys.argv[3]))
    print(time.time(), flush=True)
"""


def job(folder, names, seconds):
    command = [sys.executable, "-c", JOB, str(folder), names, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_hold_one_when_five_jobs_share_two_gpus_then_none_is_held_twice_at_a_time(tmp_path):
    jobs = [job(tmp_path, "a,b", 0.3) for _ in range(5)]
    held = {"a": [], "b": []}
    for process in jobs:
        output, _ = process.communicate(timeout=60)
        name, start, end = output.split()
        held[name].append((float(start), float(end)))
    assert held["a"]
    assert held["b"]
    for spans in held.values():
        spans.sort()
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_hold_one_when_the_holder_is_killed_then_its_gpu_is_free_again(tmp_path):
    holder = job(tmp_path, "a", 600)
    assert holder.stdout.readline().startswith("a")
    waiting = job(tmp_path, "a", 0)
    time.sleep(0.5)
    assert waiting.poll() is None
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    output, _ = waiting.communicate(timeout=60)
    assert output.startswith("a")


def test_hold_one_when_jobs_number_the_gpus_differently_then_the_name_decides(tmp_path):
    with hold_one(["a"], tmp_path), hold_one(["a", "b"], tmp_path) as number:
        assert number == 1


def test_hold_one_when_the_job_fails_then_the_gpu_is_free(tmp_path):
    with pytest.raises(ZeroDivisionError), hold_one(["a"], tmp_path):
        raise ZeroDivisionError
    with hold_one(["a"], tmp_path) as number:
        assert number == 0


def test_hold_one_when_another_user_made_the_file_then_reading_it_is_enough(tmp_path):
    with hold_one(["a"], tmp_path):
        pass
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o644
