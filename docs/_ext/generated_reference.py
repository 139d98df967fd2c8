"""Write the generated parts of the reference: settings, commands and codes, from the code itself.

A page names a part by a comment of its own line, ``% generated: settings``. Sphinx replaces the comment by Markdown
when it reads the page. The functions of `PARTS` need no Sphinx, and ``tests/unit/docs`` calls them directly. Within the
contents, ``% optional: ../viewer`` adds a page if it exists.
"""

import argparse
import ast
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import metaswin
from metaswin.config.document import describe, entries_of, flow, model_in
from metaswin.config.model import Config
from metaswin.core.settings import Settings

LIBRARY = Path(metaswin.__file__).parent
MARKER = re.compile(r"^% generated: (\w+)$", re.MULTILINE)
OPTIONAL = re.compile(r"^% optional: (\S+)\n", re.MULTILINE)


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx: replace the comments, and read their pages again in every build."""
    app.connect("source-read", _replace)
    app.connect("env-get-outdated", _outdated)
    return {"version": "1", "parallel_read_safe": True}


def _replace(app: Any, name: str, source: list[str]) -> None:
    folder = Path(app.env.doc2path(name)).parent
    text = OPTIONAL.sub(lambda found: f"{found[1]}\n" if (folder / f"{found[1]}.md").is_file() else "", source[0])
    source[0] = MARKER.sub(lambda found: PARTS[found[1]](), text)


def _outdated(app: Any, environment: Any, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    known = environment.found_docs
    return [name for name in known if MARKER.search(Path(environment.doc2path(name)).read_text(encoding="utf-8"))]


# Settings


@dataclass(frozen=True)
class Setting:
    """One setting: its dotted name, its default as YAML (None if it is required) and its description."""

    name: str
    default: str | None
    text: str


def settings_of(kind: type[Settings], value: Settings | None, above: str = "") -> Iterator[Setting]:
    """Yield every setting of a settings class with its nested ones; names of mappings appear as ``<name>``."""
    for key, each in kind.model_fields.items():
        name = f"{above}{key}"
        default = each.get_default(call_default_factory=True) if value is None else getattr(value, key)
        nested, entries = model_in(each.annotation), entries_of(each.annotation)
        if isinstance(default, Settings):
            yield from settings_of(type(default), default, f"{name}.")
            continue
        yield Setting(name, None if each.is_required() else flow(default), describe(each))
        if entries is not None:
            yield from settings_of(entries, None, f"{name}.<name>.")
        elif nested is not None:
            yield from settings_of(nested, None, f"{name}.")


def settings_reference() -> str:
    """Markdown with a section for each top-level setting."""
    rows: dict[str, list[Setting]] = {}
    for setting in settings_of(Config, Config()):
        rows.setdefault(setting.name.split(".")[0], []).append(setting)
    lines = []
    for name, each in Config.model_fields.items():
        lines += [f"## `{name}`", ""]
        kind = model_in(each.annotation)
        if kind is not None:
            lines += [_plain(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0]), ""]
        lines += ["| setting | default | description |", "|---|---|---|"]
        for row in rows[name]:
            default = "required" if row.default is None else _code(row.default)
            lines.append(f"| {_code(row.name)} | {default} | {_plain(row.text)} |")
        lines.append("")
    return "\n".join(lines)


# Commands


def commands() -> dict[str, argparse.ArgumentParser]:
    """Name of each command → its parser."""
    from metaswin.cli import make_parser

    return dict(_subparsers(make_parser()).choices)


def command_reference() -> str:
    """Markdown with a section for each command: its help, its usage and its options."""
    from metaswin.cli import make_parser
    from metaswin.running.launch import HELP

    helps = {action.dest: action.help or "" for action in _subparsers(make_parser())._choices_actions}
    lines = []
    for name, parser in commands().items():
        lines += [f"## `metaswin {name}`", "", f"{_sentence(helps[name])}", ""]
        if name == "run":  # its own options stand before those of Snakemake, which argparse does not know
            lines += ["```text", HELP, "```", ""]
            continue
        parser.formatter_class = _Wide
        lines += ["```text", parser.format_usage().strip(), "```", ""]
        if parser.description:
            lines += [_plain(parser.description), ""]
        lines += ["| argument | description |", "|---|---|"]
        for action in parser._actions:
            if isinstance(action, argparse._HelpAction):
                continue
            lines.append(f"| {_argument(action)} | {_plain(_help(parser, action))} |")
        lines.append("")
    return "\n".join(lines)


class _Wide(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)


def _subparsers(parser: argparse.ArgumentParser) -> argparse._SubParsersAction:
    return next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))


def _argument(action: argparse.Action) -> str:
    names = ", ".join(_code(name) for name in action.option_strings) or _code(action.dest)
    value = "" if action.nargs == 0 or not action.option_strings else f" {action.metavar or action.dest.upper()}"
    return f"{names}{value}{' (required)' if action.required and action.option_strings else ''}"


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = (action.help or "") % {**vars(action), "prog": parser.prog} if action.help else ""
    choices = ", ".join(map(str, action.choices or ()))
    return f"{_sentence(text)} Choices: {choices}." if choices else _sentence(text)


# Codes of data problems


@dataclass
class ProblemCode:
    """One code of a data problem with what the library says about it."""

    name: str
    excludes: set[bool] = field(default_factory=set)
    expected: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)


# Calls that make a problem: positions of the code and of what was expected, what to do (None: the argument three places
# behind the code; otherwise a text with that argument), and whether the patient is excluded.
CALLS: dict[str, tuple[int, int, str | None, bool]] = {
    "BadData": (0, 2, None, True),
    "warn": (0, 2, None, False),
    "leave": (1, 3, "nothing, if that is meant; otherwise change {}", True),
    "_warning": (1, 3, None, False),
    "_note": (1, 3, None, False),
    "_excluded": (2, 4, "the patient is excluded from this endpoint; fix the clinical table if this is wrong", True),
    "Problem": (2, 4, None, True),
}
CODE = re.compile(r"(<\w+>)?-?[a-z0-9]+(-[a-z0-9]+)+|<\w+>(-[a-z0-9]+)+")


def problem_codes() -> dict[str, ProblemCode]:
    """Code → its texts, from every call in the library that makes a problem, and from the tables of codes."""
    found: dict[str, ProblemCode] = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, excludes, expected, action in _problems_in(tree):
            code = found.setdefault(name, ProblemCode(name))
            code.excludes.add(excludes)
            for texts, text in ((code.expected, expected), (code.actions, action)):
                if text not in texts:
                    texts.append(text)
    return dict(sorted(found.items()))


def code_reference() -> str:
    """Markdown with a table of all codes."""
    lines = ["| code | effect | expected | what to do |", "|---|---|---|---|"]
    for name, code in problem_codes().items():
        effect = {(True,): "excluded", (False,): "warning"}.get(tuple(code.excludes), "excluded or warning")
        expected, actions = _plain(" / ".join(code.expected)), _plain(" / ".join(code.actions))
        lines.append(f"| {_code(name)} | {effect} | {expected} | {actions} |")
    return "\n".join(lines)


def _problems_in(tree: ast.Module) -> Iterator[tuple[str, bool, str, str]]:
    assigned = [
        (node.lineno, target.id, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if getattr(target, "id", "") in ("CODES", "WARNINGS"):
                yield from _table(node.value, _names(assigned, node.lineno))
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in CALLS:
                yield from _call(node, name, _names(assigned, node.lineno))


def _names(assigned: list[tuple[int, str, ast.expr]], line: int) -> dict[str, ast.expr]:
    """What each name means at a line: its last assignment above."""
    return {name: value for at, name, value in sorted(assigned, key=lambda each: each[0]) if at <= line}


def _table(table: ast.Dict, names: dict[str, ast.expr]) -> Iterator[tuple[str, bool, str, str]]:
    """The codes of a table: ``Code(expected, action, excludes)`` or a tuple found, expected, action of a warning."""
    for key, value in zip(table.keys, table.values, strict=True):
        assert isinstance(key, ast.Constant)
        if isinstance(value, ast.Call):
            expected, action, excludes = value.args
            yield key.value, bool(ast.literal_eval(excludes)), _text(expected, names), _text(action, names)
        elif isinstance(value, ast.Tuple) and len(value.elts) == 3:  # the IBSI codes are pairs
            yield key.value, False, _text(value.elts[1], names), _text(value.elts[2], names)


def _call(node: ast.Call, name: str, names: dict[str, ast.expr]) -> Iterator[tuple[str, bool, str, str]]:
    place, expected_at, action_text, excludes = CALLS[name]
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if "excludes" in given:
        excludes = isinstance(given["excludes"], ast.Constant) and bool(given["excludes"].value)

    def text(position: int, keyword: str) -> str:
        part = node.args[position] if len(node.args) > position else given.get(keyword)
        return "" if part is None else _text(part, names)

    if len(node.args) <= place:
        return
    written = node.args[place]
    options = [written.body, written.orelse] if isinstance(written, ast.IfExp) else [written]
    for option in options:
        code = _text(option, {})
        if CODE.fullmatch(code):
            given_text = text(place + 3, "action")
            action = given_text if action_text is None else action_text.format(given_text)
            yield code, excludes, text(expected_at, "expected"), action


def _text(node: ast.expr, names: dict[str, ast.expr]) -> str:
    """A text of the code for readers: what is known only at run time appears as ``…`` or ``<name>``."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, names) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        inner = node.value
        if isinstance(inner, ast.Name):
            return _text(inner, names) if isinstance(names.get(inner.id), ast.Constant) else f"<{inner.id}>"
        return "…"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, names) + _text(node.right, names)
    if isinstance(node, ast.Name) and node.id in names:
        return _text(names[node.id], {key: value for key, value in names.items() if key != node.id})
    return "…"


# Markdown


def _code(text: str) -> str:
    """Text as code in a cell of a table."""
    return f"`{text}`".replace("|", "\\|") if text else "empty"


def _plain(text: str) -> str:
    """Text in one line; characters that Markdown reads as markup are escaped, and code stays code."""
    parts = re.split(r"(``[^`]+``|`[^`]+`)", " ".join(text.split()))
    escaped = [part if part.startswith("`") else re.sub(r"([\\*_<>\[\]{}$~])", r"\\\1", part) for part in parts]
    return "".join(escaped).replace("|", "\\|")


def _sentence(text: str) -> str:
    text = text.strip()
    return text and text[0].upper() + text[1:] + ("" if text.endswith((".", ")")) else ".")


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings_reference,
    "commands": command_reference,
    "codes": code_reference,
}
