"""`package.toml`, written last, over the files that are already in the folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

UNHASHED = {"package.toml", "MODEL_CARD.md"}
_BARE = re.compile(r"^[A-Za-z0-9_-]+$")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(name: str) -> str:
    return name if _BARE.match(name) else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if value == value and abs(value) != float("inf") else "nan"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return json.dumps(str(value), ensure_ascii=False)


def to_toml(table: dict[str, Any], path: tuple[str, ...] = ()) -> str:
    """A nested dictionary as TOML: plain values first, then one section per inner table."""
    plain = [f"{_key(k)} = {_value(v)}" for k, v in table.items()
             if not isinstance(v, dict) and v is not None]
    head = f"[{'.'.join(_key(p) for p in path)}]\n" if path and (plain or not table) else ""
    parts = [head + "\n".join(plain)] if plain or head else []
    parts += [to_toml(v, (*path, k)).rstrip("\n") for k, v in table.items() if isinstance(v, dict)]
    return "\n\n".join(p for p in parts if p) + "\n"


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that a package vouches for."""
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): sha256(p) for p in found if p.name not in UNHASHED}


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Writes `package.toml`; `[files]` is filled in here."""
    ordered: dict[str, Any] = {}
    for key in ("format", "kind", "name", "version", "license", "classifier", "decoder",
                "calibration", "golden"):
        if key in manifest:
            ordered[key] = manifest[key]
    ordered["files"] = hashes(folder)
    ordered["training"] = manifest.get("training", {})
    ordered["metrics"] = manifest.get("metrics", {})
    beside = folder / "package.toml.tmp"
    beside.write_text(to_toml(ordered), encoding="utf-8")
    os.replace(beside, folder / "package.toml")


def rounded(value: Any, digits: int = 6) -> Any:
    """Rounds the floats of a nested structure."""
    if isinstance(value, float):
        return round(value, digits)
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v, digits) for v in value]
    return value


def clear(folder: Path, keep: set[str]) -> None:
    """Removes the files of an earlier package, except those written by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file() and path.name not in keep:
            path.unlink()
