"""Read configuration files as a user writes them: a slip is told with file and line."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from metaswin.errors import UserError


class _Loader(yaml.SafeLoader):
    """YAML, but a key that stands twice is an error: YAML would silently take the last."""


def _mapping(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if isinstance(key, str | int | float | bool) and key in seen:
            raise yaml.MarkedYAMLError(
                problem=f"the key {key!r} is there already, in line {seen[key]}", problem_mark=key_node.start_mark
            )
        seen[str(key)] = line
    loader.flatten_mapping(node)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_config(path: str | Path) -> dict[str, Any]:
    """The mapping that a YAML (or JSON) file holds.

    Raises
    ------
    UserError
        If the file cannot be read, with the line of a slip.
    """
    try:
        raw = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(
            f"{path}{where}: {error.problem or error.context}; mind indentation, colons, quotes and brackets"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"--configfile: cannot read {path} ({error})") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise UserError(f"{path}: found {type(raw).__name__}; expected `key: value` lines, such as config/examples")
    return raw


def read_configs(paths: Sequence[str | Path]) -> dict[str, Any]:
    """Several files as one mapping: a later one goes on top of the earlier ones, key by key, as Snakemake does it."""
    merged: dict[str, Any] = {}
    for path in paths:
        merged = _on_top(merged, read_config(path))
    return merged


def _on_top(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = _on_top(inner if isinstance(inner, dict) else {}, value) if isinstance(value, dict) else value
    return merged


def with_lines(message: str, paths: Sequence[str | Path]) -> str:
    """A message about a setting with the file and line where it, or the section it belongs to, is written."""
    named = re.match(r"(?:unknown key )?([\w-]+(?:\.[\w-]+)*)", message)
    for path in reversed(paths):
        line = _line_of(named[1].split("."), Path(path)) if named else None
        if line is not None:
            return f"{message} ({path}, line {line})"
    return message


def _line_of(keys: list[str], path: Path) -> int | None:
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = None
    for key in keys:
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((name, value) for name, value in entries if name.value == key), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line
