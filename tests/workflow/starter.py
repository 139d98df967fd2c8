"""Start Snakemake as ``python -m snakemake`` does, in a fork of one process that has imported it already.

Two thirds of a dry run are imports and the hashes of the library's code, which are the same in every call.
"""

import json
import select
import subprocess
import sys
from pathlib import Path

import psutil

# Reads one call a line. The fork leaves the loop and ends like any process; the server tells its exit status.
SERVER = r"""
import json, os, pathlib, re, sys
from importlib import import_module

home = pathlib.Path(sys.argv[1])
import snakemake.api, snakemake.cli, snakemake.report, snakemake.workflow
from metaswin.core.provenance import code_version
for rules in (home / "workflow/rules").glob("*.smk"):
    for name in re.findall(r"^from (metaswin[\w.]+) import", rules.read_text(), flags=re.MULTILINE):
        import_module(name)
for script in (home / "workflow/scripts").rglob("*.py"):
    code_version(script)
snakemake.cli.get_argument_parser()

for line in sys.stdin:
    arguments, output = json.loads(line)
    child = os.fork()
    if child == 0:
        for number, place in enumerate((os.devnull, output, output)):
            os.dup2(os.open(place, os.O_RDWR | os.O_APPEND | os.O_CREAT), number)
        sys.argv = [str(pathlib.Path(snakemake.__file__).with_name("__main__.py")), *arguments]
        snakemake.cli.main()
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Starter:
    """The process that has imported Snakemake; started with the first call."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self.repository, self.folder = repository, folder
        self.calls = 0
        self.server: subprocess.Popen | None = None

    def run(self, arguments: list[str], timeout: float) -> tuple[int, str]:
        """Exit status and text of one call in the repository."""
        if self.server is None:
            self.server = subprocess.Popen(
                [sys.executable, "-c", SERVER, self.repository],
                cwd=self.repository,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self.calls += 1
        output = self.folder / f"{self.calls}.txt"
        print(json.dumps([arguments, str(output)]), file=self.server.stdin, flush=True)
        ended, _, _ = select.select([self.server.stdout], [], [], timeout)
        if not ended:
            for process in psutil.Process(self.server.pid).children(recursive=True):
                process.kill()
        status = int(self.server.stdout.readline())
        assert ended, f"not at its end after {timeout} s\n{output.read_text()}"
        return status, output.read_text()

    def close(self) -> None:
        """End the process."""
        if self.server is not None:
            self.server.stdin.close()
            self.server.stdout.close()
            self.server.wait(60)
