"""Generate files from the models of the settings: the configuration with every default, and its JSON Schema."""

import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from metaswin.config.model import Config
from metaswin.core.settings import Settings

WIDTH = 120
INDENT = "  "
HEAD = """\
# Every setting of metaswin with its default. Do not change this file. Write your settings to a separate file:
#   snakemake --cores 8 --configfile my-study.yaml -- all
# Unknown keys are errors. Complete examples: config/examples/. Schema: workflow/schemas/config.schema.json.
"""


def generated_files() -> dict[str, str]:
    """Return path in the repository and text of every file that ``make schema`` writes."""
    return {"config/config.yaml": default_configuration(), "workflow/schemas/config.schema.json": json_schema()}


def json_schema() -> str:
    """Return the JSON Schema of the configuration."""
    return json.dumps(Config.model_json_schema(), indent=1, sort_keys=True) + "\n"


def default_configuration() -> str:
    """Return the text of ``config/config.yaml``: the defaults of `Config`, with descriptions as comments."""
    writer = _Writer()
    defaults = Config()
    entries = [
        "\n".join(writer.entry((name,), field, getattr(defaults, name), WIDTH))
        for name, field in Config.model_fields.items()
    ]
    return "\n\n".join([HEAD.rstrip(), *entries]) + "\n"


class _Writer:
    """Write lines of settings; a class that occurs twice is described once."""

    def __init__(self) -> None:
        self._described: dict[type[Settings], str] = {}

    def entry(self, path: tuple[str, ...], field: FieldInfo, value: Any, width: int) -> list[str]:
        """Return a setting, or a section with its content, without indentation and at most `width` characters wide."""
        if isinstance(value, Settings):
            return self._section(path, value, width)
        name = path[-1]
        entries = entries_of(field.annotation)
        pair = _pair(name, value, width)
        if not (field.examples or entries):
            return _described(pair, describe(field), width)
        comment = [describe(field)]
        for example in field.examples or []:
            comment += ["Example:", *_indented(line for key in example for line in _pair(key, example[key], width - 4))]
        if entries is not None:
            inner = self._inner(path, entries, width - 4)
            comment += ["Settings of each:", *_indented(inner)] if inner else []
        return [*_comment(comment[0], width), *(f"# {line}" for line in comment[1:]), *pair]

    def _section(self, path: tuple[str, ...], value: Settings, width: int) -> list[str]:
        kind = type(value)
        name = f"{path[-1]}:"
        first = self._described.setdefault(kind, ".".join(path))
        if first != ".".join(path):
            pairs = [line for key in kind.model_fields for line in _pair(key, getattr(value, key), width - 2)]
            return [f"{name} # as {first}", *_indented(pairs)]
        inner = [
            line
            for key, field in kind.model_fields.items()
            for line in self.entry((*path, key), field, getattr(value, key), width - 2)
        ]
        return [*_comment(_first_sentence(kind), width), name, *_indented(inner)]

    def _inner(self, path: tuple[str, ...], kind: type[Settings], width: int) -> list[str]:
        """Return the settings of one entry of a mapping; none if they are described before."""
        if self._described.setdefault(kind, ".".join(path)) != ".".join(path):
            return []
        lines = []
        for key, field in kind.model_fields.items():
            if field.is_required():
                lines += _described([f"{key}:"], f"Required. {describe(field)}", width)
            else:
                lines += _described(_pair(key, field.get_default(), width), describe(field), width)
            nested = model_in(field.annotation)
            if nested is not None:
                lines += _indented(self._inner((*path, key), nested, width - 2))
        return lines


def describe(field: FieldInfo) -> str:
    """Return the description of a setting; choices and range are added if the description does not contain them."""
    text = field.description or ""
    choices = [str(choice) for choice in _choices(field.annotation)]
    if any(not re.search(rf"\b{re.escape(choice)}\b", text) for choice in choices):
        text = f"{' | '.join(choices)}. {text}"
    return " ".join([text, *_range(field)])


def _range(field: FieldInfo) -> Iterator[str]:
    """Return the range of a number; without an upper limit, a lower limit of 0 or 1 is not stated."""
    names = ("ge", "gt", "le", "lt", "multiple_of")
    bounds = {name: getattr(limit, name) for limit in field.metadata for name in names if hasattr(limit, name)}
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if high is not None:
        yield f"In {'[' if 'ge' in bounds else '('}{low}, {high}{']' if 'le' in bounds else ')'}."
    elif low not in (None, 0, 1):
        yield f"At least {low}." if "ge" in bounds else f"More than {low}."
    if "multiple_of" in bounds:
        yield f"A multiple of {bounds['multiple_of']}."


def _choices(annotation: Any) -> tuple:
    """Return the values of a Literal, of an optional one or of a list of them; otherwise none."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    inner = [each for each in get_args(annotation) if each is not type(None)]
    return _choices(inner[0]) if len(inner) == 1 and get_origin(annotation) in (list, Union, UnionType) else ()


def entries_of(annotation: Any) -> type[Settings] | None:
    """Return the settings class of the values of a mapping."""
    return model_in(get_args(annotation)[1]) if get_origin(annotation) is dict else None


def model_in(annotation: Any) -> type[Settings] | None:
    for kind in (annotation, *get_args(annotation)):
        if inspect.isclass(kind) and issubclass(kind, Settings):
            return kind
    return None


def _first_sentence(kind: type[Settings]) -> str:
    paragraph = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=\.)\s+(?=[A-Z`])", paragraph)[0]


def _described(pair: list[str], text: str, width: int) -> list[str]:
    """Return the lines of a setting, with the description after the first line if it fits, otherwise above."""
    line = f"{pair[0]} # {text}"
    return [line, *pair[1:]] if len(line) <= width else [*_comment(text, width), *pair]


def _comment(text: str, width: int) -> list[str]:
    return [f"# {line}" for line in _wrapped(text, width - 2)]


def _wrapped(text: str, width: int, hanging: str = "") -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)


def _indented(lines: Iterator[str] | list[str]) -> list[str]:
    return [INDENT + line for line in lines]


def _pair(name: str, value: Any, width: int) -> list[str]:
    """Return ``name: value`` as one line of YAML if it fits, otherwise in several lines."""
    line = f"{flow(name)}: {flow(value)}"
    if len(line) <= width:
        return [line]
    if isinstance(value, dict):
        inner = [line for key, each in value.items() for line in _pair(key, each, width - 2)]
    else:  # YAML reads a line break as a space
        inner = _wrapped(flow(value), width - 2, hanging=" ")
    return [f"{flow(name)}:", *_indented(inner)]


def flow(value: Any) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{flow(key)}: {flow(each)}' for key, each in value.items())} }}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, str):
        return value if _is_plain(value) else json.dumps(value, ensure_ascii=False)
    return yaml.safe_dump(value).splitlines()[0]  # 1e-7 as 1.0e-07, because YAML reads 1e-7 as a text


def _is_plain(text: str) -> bool:
    """Return whether a text needs no quotes, also inside brackets."""
    try:
        return yaml.safe_load(f"[{text}]") == [text]
    except yaml.YAMLError:
        return False
