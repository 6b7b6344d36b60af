"""The one config system: frozen pydantic models, YAML 1.2 files, and `--set a.b=v`.

A config class lives beside the code it configures and derives from `Config`. `load` merges file and overrides into
plain data and validates it once; every mistake becomes one `ConfigError` that names the key. Nothing here knows what
any config means.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from medray.errors import ConfigError


class Config(BaseModel):
    """Base of every config: unknown keys and silent conversions are refused, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


ConfigT = TypeVar("ConfigT", bound=BaseModel)


def parse_yaml(text: str) -> Any:
    """Parse YAML 1.2: `1e-5` is a float, `null` is none, `no` is a word. Raises ConfigError."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not well formed"
        raise ConfigError(f"expected YAML, got a syntax error{where}: {problem}") from error


def dump_yaml(data: Any) -> str:
    """Render plain data as YAML 1.2."""
    stream = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(data, stream)
    return stream.getvalue()


def load(cls: type[ConfigT], path: Path | None = None, overrides: Sequence[str] = ()) -> ConfigT:
    """Build a config from a YAML file (or nothing) and `a.b=value` overrides, which win.

    Raises ConfigError for a missing file, bad YAML, an unknown key (with the nearest name) or a wrong value.
    """
    data = _read_mapping(path) if path is not None else {}
    for override in overrides:
        _apply(data, override)
    return validate(cls, data, source=str(path) if path else "config")


def validate(cls: type[ConfigT], data: Mapping[str, Any], *, source: str = "config") -> ConfigT:
    """Validate plain data against a config class, as YAML would give it. Raises ConfigError."""
    try:
        # JSON mode is strict about types yet lets a list fill a tuple and a string fill a Path or an enum.
        return cls.model_validate_json(json.dumps(data))
    except (TypeError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise ConfigError(f"{source}: {_explain(cls, error)}") from None
        raise ConfigError(f"{source}: expected plain values, got one that JSON cannot hold") from None


def changed(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain data with some dotted keys (`a.b`) set to other values; the data given stays as it is."""
    copy: dict[str, Any] = json.loads(json.dumps(data))
    for key, value in changes.items():
        _put(copy, key.split("."), value)
    return copy


def resolved(config: BaseModel) -> dict[str, Any]:
    """Return the config as plain data, every default included: what a manifest stores."""
    return config.model_dump(mode="json")


def config_hash(config: BaseModel | Mapping[str, Any]) -> str:
    """Return 16 hex digits that change with any value of the resolved config."""
    data = resolved(config) if isinstance(config, BaseModel) else config
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"expected a config file at {path}, found none: check --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the config file {path}: {type(error).__name__}") from None
    try:
        data = parse_yaml(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(f"{path}: expected a mapping of names to values, got {type(data).__name__}")
    return data


def _apply(data: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise ConfigError("expected --set a.b=value, got one without a key or '='")
    _put(data, parts, parse_yaml(text) if text.strip() else "")


def _put(data: dict[str, Any], parts: Sequence[str], value: Any) -> None:
    node = data
    for part in parts[:-1]:
        child = node.get(part)
        if not isinstance(child, dict):
            child = {}
        node[part] = child
        node = child
    node[parts[-1]] = value


def _explain(cls: type[BaseModel], error: ValidationError) -> str:
    lines = [_explain_one(cls, item) for item in error.errors(include_url=False, include_input=False)]
    return "; ".join(lines)


def _explain_one(cls: type[BaseModel], item: Any) -> str:
    location = item["loc"]
    key = ".".join(str(part) for part in location) or "(top level)"
    if item["type"] != "extra_forbidden":
        return f"{key}: {item['msg']}"
    names = _names_at(cls, location[:-1])
    near = difflib.get_close_matches(str(location[-1]), names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(sorted(names))}"
    return f"unknown key '{key}'; {hint}"


def _names_at(cls: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the field names of the config found by walking `location` from `cls`."""
    for part in location:
        field = cls.model_fields.get(str(part))
        found = _config_in(field.annotation) if field else None
        if found is None:
            return []
        cls = found
    return list(cls.model_fields)


def _config_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _config_in(inner)
        if found is not None:
            return found
    return None
