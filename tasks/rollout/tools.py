"""The tools of the embedded environment as OpenAI tool schemas, read off its class."""

from __future__ import annotations

import inspect
import re
from functools import lru_cache
from typing import Any

from tasks.rollout.sql_agent import SqlAgent


@lru_cache(maxsize=1)
def tool_schemas() -> list[dict[str, Any]]:
    """Describe every public method but `reset` and `get_reward`, from signature and docstring.

    All parameters of this environment are text and required.
    """
    schemas = []
    for name, method in inspect.getmembers(SqlAgent, inspect.isfunction):
        if name.startswith("_") or name in ("reset", "get_reward"):
            continue
        documented = inspect.getdoc(method) or ""
        told = dict(re.findall(r"^ {4}(\w+): (.+)$", documented, re.MULTILINE))
        names = [p for p in inspect.signature(method).parameters if p != "self"]
        schemas.append(
            {
                "type": "function",
                "function": {
                    "name": name,
                    "description": documented.splitlines()[0],
                    "parameters": {
                        "type": "object",
                        "properties": {
                            p: {"type": "string", "description": told.get(p, "")} for p in names
                        },
                        "required": names,
                    },
                },
            }
        )
    return schemas
