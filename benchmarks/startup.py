"""What the jobs' scripts spend before they work: their imports, each script in fresh processes.

    python benchmarks/startup.py
    python benchmarks/startup.py --only make_regions make_patches --modules 12

CPU and wall are the least of `--runs` processes that start Python, load what Snakemake puts before every script, and
run the script's imports. What a function imports when it is called is not in it. `--modules` names the imports that
take most, without what they import themselves.
"""

import argparse
import ast
import os
import re
import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "workflow" / "scripts"
# Snakemake's preamble unpickles the job with this.
PREAMBLE = "from snakemake import script\n"


def main() -> None:
    """Print one row for each script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], metavar="SCRIPT")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--modules", type=int, default=0, metavar="N", help="also the N slowest imports of each script")
    arguments = parser.parse_args()
    names = arguments.only or sorted(path.stem for path in SCRIPTS.rglob("*.py"))
    print(f"{'script':<24}{'CPU s':>8}{'wall s':>8}{'modules':>9}")
    for name, code in {"(none)": PREAMBLE, **{name: PREAMBLE + imports(name) for name in names}}.items():
        cpu, wall, modules = min(measure(code) for _ in range(arguments.runs))
        print(f"{name:<24}{cpu:8.2f}{wall:8.2f}{modules:9d}", flush=True)
        for seconds, module in slowest(code, arguments.modules):
            print(f"    {seconds:6.3f}  {module}")


def imports(name: str) -> str:
    """The import lines of a script."""
    tree = ast.parse(next(SCRIPTS.rglob(f"{name}.py")).read_text(encoding="utf-8"))
    lines = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(lines)


def measure(code: str) -> tuple[float, float, int]:
    """CPU and wall seconds of a process that runs `code`, and the modules it has then."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\nimport sys; print(len(sys.modules))"], stdout=subprocess.PIPE, text=True
    )
    modules = int(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - started, modules


def slowest(code: str, number: int) -> list[tuple[float, str]]:
    """Seconds and names of the imports that take most by themselves."""
    if not number:
        return []
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True)
    rows = re.findall(r"^import time:\s+(\d+) \|\s+\d+ \| +(\S+)$", done.stderr, flags=re.MULTILINE)
    return sorted(((int(microseconds) / 1e6, module) for microseconds, module in rows), reverse=True)[:number]


if __name__ == "__main__":
    main()
