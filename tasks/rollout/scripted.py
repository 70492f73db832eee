"""The production agent before the flywheel: a script that knows SQL and has bad habits.

About half of its episodes succeed. Its habits are systematic, so that a policy that merely copies
it inherits them; what it does well is enough for one that learns from its successes.
"""

from __future__ import annotations

import json
from typing import Protocol

import numpy as np

from schemas.episode import Message, ToolCall
from tasks.rollout.scenarios import Specification, aggregate, where_clause
from tasks.rollout.tenants import Tenant

NAME = "scripted-sql-agent"

HABITS = {
    "guesses_columns": 0.12,
    "gives_up": 0.35,
    "assumes_the_date": 0.75,
    "drops_a_filter": 0.30,
    "takes_the_other_measure": 0.08,
    "sums_the_largest": 0.30,
    "counts_for_top": 0.40,
    "wrong_whole": 0.75,
    "answers_a_part": 0.35,
    "slips_a_digit": 0.04,
}
"""Chance of each habit where it can show."""

_REMEMBERED_DATE = "2026-01-15"


class SqlTools(Protocol):
    """The environment as an agent sees it."""

    def describe_table(self, table: str) -> str:
        """List the columns of a table."""
        ...

    def calendar(self) -> str:
        """Tell what day it is."""
        ...

    def run_sql(self, query: str) -> str:
        """Run one SELECT statement."""
        ...

    def calculate(self, expression: str) -> str:
        """Work out an arithmetic expression."""
        ...


class ScriptedAgent:
    """Plays one episode: asks tools, writes messages, answers.

    Args:
        tools: The environment, already reset.
        asked: What the question means; the script reads it instead of the text.
        tenant: Whose data; the script only uses what it has looked up, or guesses.
        rng: Source of its moods.
    """

    def __init__(
        self, tools: SqlTools, asked: Specification, tenant: Tenant, rng: np.random.Generator
    ) -> None:
        self._tools = tools
        self._asked = asked
        self._tenant = tenant
        self._rng = rng
        self.messages: list[Message] = []
        self._habits = {name: bool(rng.random() < chance) for name, chance in HABITS.items()}

    def play(self) -> list[Message]:
        """Play the episode and return its messages after the question."""
        seen = self._look()
        answer = "I could not find it." if seen is None else self._answer(seen)
        self.messages.append(Message(role="assistant", content=answer))
        return self.messages

    def _call(self, name: str, **arguments: str) -> str:
        text = json.dumps(arguments)
        call = ToolCall(id=f"call_{len(self.messages)}", name=name, arguments=text)
        self.messages.append(Message(role="assistant", tool_calls=[call]))
        result: str = getattr(self._tools, name)(**arguments)
        self.messages.append(
            Message(
                role="tool", content=result, tool_call_id=call.id, name=name,
                error=result.startswith("Error:"),
            )
        )  # fmt: skip
        return result

    def _look(self) -> Tenant | None:
        """Find out what table and columns are called; None when it gives up."""
        tenant = self._tenant
        if self._habits["guesses_columns"]:
            guess = Tenant(
                tenant.name, tenant.noun, tenant.noun, "amount", "units", "area", "product", "day",
                (), tenant.today,
            )  # fmt: skip
            query = f"SELECT {aggregate(self._asked.measure, guess)} FROM {guess.table}"
            where = where_clause(guess, self._asked.area, self._asked.product)
            if self._call("run_sql", query=query + where).startswith("Error:"):
                if self._habits["gives_up"]:
                    return None
            else:
                return guess
        result = self._call("describe_table", table=tenant.noun)
        if result.startswith("Error:"):
            if self._habits["gives_up"]:
                return None
            self._call("describe_table", table=result.split()[-1])
        return tenant

    def _answer(self, seen: Tenant) -> str:
        asked = self._asked
        measure = asked.measure
        if self._habits["takes_the_other_measure"] and measure != "rows":
            measure = "units" if measure == "money" else "money"
        since = f"DATE '{self._today()}' - {asked.days}" if asked.days else None
        if asked.kind == "share":
            return self._share(seen, measure)
        if asked.kind == "compare":
            return self._compare(seen, measure)
        area, product = asked.area, asked.product
        if area and product and self._habits["drops_a_filter"]:
            area, product = (None, product) if self._rng.random() < 0.5 else (area, None)
        where = where_clause(seen, area, product, since)
        if asked.kind == "top":
            column = seen.product if asked.by == "product" else seen.area
            rank = "COUNT(*)" if self._habits["counts_for_top"] else aggregate(measure, seen)
            found = self._call(
                "run_sql",
                query=f"SELECT {column} FROM {seen.table}{where}"
                f" GROUP BY {column} ORDER BY {rank} DESC LIMIT 1",
            )
            return f"It is {found}."
        largest = asked.kind == "largest" and not self._habits["sums_the_largest"]
        value = aggregate(measure, seen, "MAX" if largest else "SUM")
        return self._say(self._call("run_sql", query=f"SELECT {value} FROM {seen.table}{where}"))

    def _today(self) -> str:
        return _REMEMBERED_DATE if self._habits["assumes_the_date"] else self._call("calendar")

    def _share(self, seen: Tenant, measure: str) -> str:
        asked = self._asked
        value = aggregate(measure, seen)
        part = self._number(seen, value, asked.area, asked.product)
        if self._habits["wrong_whole"]:
            if self._rng.random() < 0.5:
                return self._say(part)
            value = "COUNT(*)"
        whole = self._number(seen, value, None, None)
        return self._say(self._call("calculate", expression=f"100 * {part} / {whole}"))

    def _compare(self, seen: Tenant, measure: str) -> str:
        asked = self._asked
        value = aggregate(measure, seen)
        one = self._number(seen, value, asked.area, asked.product)
        if self._habits["answers_a_part"]:
            return self._say(one)
        area, product = (asked.versus, None) if asked.by == "area" else (None, asked.versus)
        other = self._number(seen, value, area, product)
        return self._say(self._call("calculate", expression=f"{one} - {other}"))

    def _number(self, seen: Tenant, value: str, area: str | None, product: str | None) -> str:
        where = where_clause(seen, area, product)
        return self._call("run_sql", query=f"SELECT {value} FROM {seen.table}{where}")

    def _say(self, value: str) -> str:
        if self._habits["slips_a_digit"] and value[-1:].isdigit():
            value = value[:-1] + str((int(value[-1]) + 1) % 10)
        return f"It is {value}."
