"""The tenants of the embedded environment: one small shop each, no two with the same schema.

A question says "revenue" and "area"; which columns those are, only the tenant's table tells. A
third of the tenants have moved their table, and only the error of the old name says where to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

TABLES = ("orders", "sales", "invoices", "bookings", "receipts", "deals")
MONEY = ("amount", "total", "price", "net", "value", "paid")
UNITS = ("units", "qty", "pieces", "items", "volume", "packs")
AREA = ("area", "region", "zone", "market")
PRODUCT = ("product", "category", "line", "brand")
DAY = ("day", "sold_on", "booked_on", "placed")

AREAS = ("north", "south", "east", "west", "coast", "hills")
PRODUCTS = ("tea", "coffee", "rice", "fruit", "bread", "fish", "soap", "paper")

COUNT = 18
ROWS = 220
HISTORY_DAYS = 120


@dataclass(frozen=True)
class Tenant:
    """One tenant: what its table and columns are called, and what day it is there."""

    name: str
    noun: str
    """What its users call the table."""
    table: str
    """What the table is really called; differs from `noun` where it has moved."""
    money: str
    units: str
    area: str
    product: str
    day: str
    columns: tuple[str, ...]
    """All five columns in the table's own order."""
    today: date

    @property
    def moved(self) -> bool:
        """Tell whether the table is no longer where its users think."""
        return self.table != self.noun


def tenants(seed: int) -> list[Tenant]:
    """Make the tenants of one environment.

    Args:
        seed: Seed of names, column orders and calendar days.

    Returns:
        `COUNT` tenants; every name of every list is used by several of them.
    """
    rng = np.random.default_rng([seed, 1])
    made = []
    for i in range(COUNT):
        chosen = {
            "money": MONEY[(i + int(rng.integers(len(MONEY)))) % len(MONEY)],
            "units": UNITS[(i + int(rng.integers(len(UNITS)))) % len(UNITS)],
            "area": AREA[int(rng.integers(len(AREA)))],
            "product": PRODUCT[int(rng.integers(len(PRODUCT)))],
            "day": DAY[int(rng.integers(len(DAY)))],
        }
        noun = TABLES[i % len(TABLES)]
        made.append(
            Tenant(
                name=f"tenant{i:02d}",
                noun=noun,
                table=f"{noun}_new" if i % 3 == 2 else noun,
                columns=tuple(rng.permutation(list(chosen.values())).tolist()),
                today=date(2026, 5, 1) + timedelta(days=int(rng.integers(0, 120))),
                **chosen,
            )
        )
    return made


def table_rows(tenant: Tenant, seed: int) -> pa.Table:
    """Make the rows of a tenant's table.

    Money is skewed, so that the largest row is not the first guess of any habit, and areas and
    products have shares of their own, so that sums differ from counts.

    Args:
        tenant: Whose table.
        seed: Seed of the rows.

    Returns:
        `ROWS` rows with the tenant's own column names and order.
    """
    rng = np.random.default_rng([seed, 2, int(tenant.name[-2:])])
    areas = rng.choice(len(AREAS), ROWS, p=rng.dirichlet(np.full(len(AREAS), 6.0)))
    products = rng.choice(len(PRODUCTS), ROWS, p=rng.dirichlet(np.full(len(PRODUCTS), 6.0)))
    level = rng.uniform(0.6, 1.6, len(PRODUCTS))
    money = np.clip(rng.lognormal(2.6, 0.8, ROWS) * level[products], 1, 99).astype(np.int64)
    units = np.clip(rng.lognormal(1.4, 0.7, ROWS), 1, 60).astype(np.int64)
    ages = rng.integers(0, HISTORY_DAYS, ROWS)
    values = {
        tenant.money: pa.array(money),
        tenant.units: pa.array(units),
        tenant.area: pa.array([AREAS[a] for a in areas]),
        tenant.product: pa.array([PRODUCTS[p] for p in products]),
        tenant.day: pa.array([tenant.today - timedelta(days=int(a)) for a in ages]),
    }
    return pa.table({name: values[name] for name in tenant.columns})
