"""The embedded environment: an SQL data agent over DuckDB, in TRL's environment contract.

The class is what TRL's `environment_factory` asks for: `reset(**row)`, public typed documented
methods as tools, `get_reward()`. Everything else starts with an underscore.
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from schemas.dataset import Scenario, Split
from schemas.episode import Message
from tasks.rollout.environment import Environment
from tasks.rollout.scenarios import Specification, draw
from tasks.rollout.scripted import ScriptedAgent, SqlTools
from tasks.rollout.tenants import Tenant, table_rows, tenants
from tasks.rollout.version import play_version
from warehouse.databases import write_database
from warehouse.sandbox import Sandbox

_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class SqlWorld:
    """What all environments of one process share: tenants, databases, the sandbox, a cache.

    Args:
        root: Folder of the tenants' databases; made if missing.
        seed: Seed of tenants and rows.
        salt: Salt of the split of its scenarios.
    """

    def __init__(self, root: Path, seed: int, salt: str = "flywheel") -> None:
        self.tenants: dict[str, Tenant] = {t.name: t for t in tenants(seed)}
        self._seed = seed
        self._salt = salt
        self._folder = root / f"seed{seed}-{play_version()}"
        self._folder.mkdir(parents=True, exist_ok=True)
        for tenant in self.tenants.values():
            if not self.database(tenant).exists():
                write_database(self.database(tenant), {tenant.table: table_rows(tenant, seed)})
        self._sandbox: Sandbox | None = None
        self._cache: dict[tuple[str, str], str] = {}

    def database(self, tenant: Tenant) -> Path:
        """Locate a tenant's database file."""
        return self._folder / f"{tenant.name}.duckdb"

    def query(self, tenant: Tenant, sql: str) -> str:
        """Run one query in the sandbox and put its result, or its error, into a line of text."""
        key = (tenant.name, sql)
        if key in self._cache:
            return self._cache[key]
        if self._sandbox is None:
            self._sandbox = Sandbox()
        result = self._sandbox.query(self.database(tenant), sql)
        if result.error is not None:  # not kept: a time-out today may be an answer tomorrow
            return f"Error: {_short_error(result.error)}"
        self._cache[key] = "; ".join(
            ", ".join("NULL" if v is None else f"{v}" for v in row) for row in result.rows[:5]
        )
        return self._cache[key]

    def environment(self) -> SqlAgent:
        """Make one environment; all of them share this world."""
        return SqlAgent(self)

    def draw(self, split: Split, count: int, seed: int) -> list[Scenario]:
        """Draw scenarios of one split; held-out splits never repeat one."""
        return draw(self._seed, self._salt, split, count, seed)

    def act(
        self, scenario: Scenario, environment: Environment, rng: np.random.Generator
    ) -> list[Message]:
        """Let the scripted agent play one episode; the environment was reset."""
        asked = Specification(**json.loads(scenario.specification))
        tools = cast(SqlTools, environment)
        return ScriptedAgent(tools, asked, self.tenants[asked.tenant], rng).play()

    def close(self) -> None:
        """Stop the sandbox."""
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None


def _short_error(error: str) -> str:
    if found := re.search(r'[Tt]able with name "?(\w+)"? does not exist', error):
        return f"no table {found[1]}"
    if found := re.search(r'(?:[Rr]eferenced )?column "(\w+)" not found', error):
        return f"no column {found[1]}"
    return "bad query"


def _arithmetic(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_arithmetic(node.left), _arithmetic(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_arithmetic(node.operand)
    raise ValueError("only numbers and + - * / are allowed")


def answers_match(answer: str, gold: str) -> bool:
    """Tell whether a final text states the true value.

    Args:
        answer: The agent's final text; its last number, or the value as a word, counts.
        gold: What the gold query returned.
    """
    if _NUMBER.fullmatch(gold):
        numbers = _NUMBER.findall(answer.replace(",", ""))
        return bool(numbers) and abs(float(numbers[-1]) - float(gold)) < 0.051
    return re.search(rf"\b{re.escape(gold)}\b", answer) is not None and len(answer.split()) <= 8


class SqlAgent:
    """One episode of the SQL data agent."""

    def __init__(self, world: SqlWorld) -> None:
        self._world = world
        self._tenant = next(iter(world.tenants.values()))
        self._gold_sql = ""
        self._answer: str | None = None
        self._malformed = False
        self._queries = 0

    def reset(self, tenant: str, gold_sql: str, **_: Any) -> str | None:
        """Start an episode.

        Args:
            tenant: Whose data is asked about.
            gold_sql: The query whose result is the true answer.
        """
        self._tenant = self._world.tenants[tenant]
        self._gold_sql = gold_sql
        self._answer = None
        self._malformed = False
        self._queries = 0
        return None

    def describe_table(self, table: str) -> str:
        """List the columns of a table.

        Args:
            table: Name of the table.

        Returns:
            The column names in order.
        """
        if table == self._tenant.table:
            return " ".join(self._tenant.columns)
        if table == self._tenant.noun:
            return f"Error: {table} moved to {self._tenant.table}"
        return f"Error: no table {table}"

    def calendar(self) -> str:
        """Tell what day it is.

        Returns:
            Today's date, YYYY-MM-DD.
        """
        return self._tenant.today.isoformat()

    def run_sql(self, query: str) -> str:
        """Run one SELECT statement.

        Args:
            query: The statement, in DuckDB's dialect.

        Returns:
            The rows as text, or an error.
        """
        self._queries += 1
        return self._world.query(self._tenant, query)

    def calculate(self, expression: str) -> str:
        """Work out an arithmetic expression.

        Args:
            expression: Numbers joined by + - * / and spaces.

        Returns:
            The value, rounded to one decimal place unless it is whole.
        """
        if len(expression) > 100:
            return "Error: expression too long"
        try:
            value = round(_arithmetic(ast.parse(expression.strip(), mode="eval").body), 1)
            return str(int(value)) if value == int(value) else str(value)
        except (ValueError, SyntaxError, ZeroDivisionError, OverflowError, RecursionError):
            return "Error: bad expression"

    def get_reward(self) -> float | None:
        """Verify the final answer against the gold query.

        Returns:
            1 for a right answer that rests on at least one query, else 0; None when the gold
            query itself cannot be run.
        """
        if self._malformed or self._answer is None or not self._queries:
            return 0.0
        gold = self._world.query(self._tenant, self._gold_sql)
        if gold.startswith("Error:"):
            return None
        return float(answers_match(self._answer, gold))

    def _finish(self, answer: str | None, malformed: bool = False) -> None:
        """Take the final text; a call that does not parse fails the episode."""
        self._answer = answer
        self._malformed = malformed
