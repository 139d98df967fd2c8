"""Commands on the pages of the documentation: each one is parsed, and the files that it names exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "config/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"^( *)```bash\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
# Programs whose arguments are not checked, apart from files of the repository.
TOOLS = {"cp", "cd", "git", "pip", "pkill", "pre-commit", "python", "pytest", "source", "ssh"}
# Files of the reader, not of the repository.
OWN = re.compile(r"(^|/)(my-study|change|metaswin|predict|study)\.yaml$|^profiles/my-")


def commands_of(text: str) -> list[list[str]]:
    """Words of every command in the bash blocks of a page; comments and assignments before a command are dropped."""
    commands = []
    for _, block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            for part in _split(shlex.split(line, comments=True)):
                while part and re.fullmatch(r"[A-Z_]+=.*", part[0]):
                    part = part[1:]
                if part:
                    commands.append(part)
    return commands


def _split(words: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", ";", "|", "||"):
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


ALL = [
    pytest.param(words, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, words in enumerate(commands_of(page.read_text(encoding="utf-8")), start=1)
]


@pytest.fixture(scope="module")
def parser():
    from metaswin.cli import make_parser

    return make_parser()


@pytest.fixture(scope="module")
def snakemake():
    from snakemake.cli import get_argument_parser

    return get_argument_parser()


@pytest.fixture(scope="module")
def rules(repository):
    texts = [path.read_text() for path in [repository / "Snakefile", *(repository / "workflow/rules").glob("*.smk")]]
    return set(re.findall(r"^ *(?:rule|checkpoint) (\w+):", "".join(texts), flags=re.MULTILINE))


@pytest.fixture(scope="module")
def make_targets(repository):
    return set(re.findall(r"^([a-z][\w-]*):", (repository / "Makefile").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("words", ALL)
def test_documentation_when_a_page_gives_a_command_then_it_can_be_run(words, parser, snakemake, rules, make_targets):
    program, *arguments = words
    match Path(program).name:
        case "metaswin" if arguments[0] == "run":
            parser.parse_args(arguments)
            _check_snakemake([word for word in arguments[1:] if word != "--jobs-ended"], snakemake, rules)
        case "metaswin":
            parser.parse_args(arguments)
        case "make":
            assert {word for word in arguments if "=" not in word} <= make_targets
        case "snakemake":
            _check_snakemake(arguments, snakemake, rules)
        case name:
            assert name in TOOLS, f"unknown program {program}: correct the page, or add it to TOOLS"
    for word in words:
        if re.match(r"(benchmarks|tests|config|profiles)/\S", word) and not OWN.search(word):
            assert (ROOT / word.split("::")[0]).exists(), word


def _check_snakemake(arguments: list[str], snakemake, rules: set[str]) -> None:
    options, _, targets = " ".join(map(shlex.quote, arguments)).partition(" -- ")
    known, unknown = snakemake.parse_known_args(shlex.split(options))
    # Options of the executor plugin for Slurm, which Snakemake registers when it starts.
    assert [word for word in unknown if not word.startswith("--slurm")] == []
    assert set(targets.split()) <= rules
    for path in known.configfile or []:
        assert OWN.search(str(path)) or (ROOT / path).is_file(), path
    for profile in [known.profile] if isinstance(known.profile, str) else known.profile or []:
        assert OWN.search(profile) or (ROOT / profile / "profile.yaml").is_file(), profile


def test_documentation_when_commands_are_collected_then_there_are_many():
    assert len(ALL) > 60
    assert {"metaswin", "make", "snakemake"} <= {Path(each.values[0][0]).name for each in ALL}


def test_github_workflow_when_read_then_it_runs_what_ci_runs(repository, make_targets):
    jobs = yaml.safe_load((repository / ".github/workflows/ci.yml").read_text())["jobs"]
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    asked = {target for line in lines for target in re.findall(r"make ([\w-]+)", line)}
    assert asked <= make_targets
    script = (repository / ".ci/run").read_text()
    assert set(re.findall(r"^(?:run )?make ([\w-]+)", script, flags=re.MULTILINE)) == asked


def test_commands_when_a_block_has_comments_and_continuations_then_words_are_right():
    text = "```bash\nA=1 make demo   # say something\nmetaswin run -d x \\\n  -n && make test\n```\n"
    assert commands_of(text) == [["make", "demo"], ["metaswin", "run", "-d", "x", "-n"], ["make", "test"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documentation_when_a_page_links_to_a_file_then_the_file_exists(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:", link)]
    assert [each for each in targets if each and not (page.parent / each).exists()] == []
