"""What the built-in rules say of real logs, held against what can be seen in these."""

import numpy as np
import pytest

from schemas.label_config import LabelConfig
from tasks.ingest.ingest import ingest
from tasks.label.block import Block
from tasks.label.risk.rules import Rules
from warehouse.tables import Warehouse


@pytest.fixture
def broken(config, clock, real_logs):
    """Ingest a log, and give what each rule says of its episodes, by name."""

    def go(path):
        ingest(config, [str(real_logs / path)], night="2026-01-02", clock=clock)
        read = Warehouse(config.home).sql("SELECT messages, tools FROM episodes")
        block = Block(*(read[name].combine_chunks() for name in ("messages", "tools")))
        rules = Rules(LabelConfig().risk)
        found = rules.broken(block, list)
        assert (np.isnan(found) | ((found >= 0) & (found <= 1))).all()
        return block, dict(zip(rules.names, found.T, strict=True))

    return go


def test_tau_bench(broken):
    block, found = broken("tau-bench/gpt-4o-airline.12tasks.json")
    assert len(block) == 48
    # 20 episodes hold a result that starts with "Error": a payment that does not add up, a seat
    # that is not there. Cancelling is what the users ask for, and nothing else destroys.
    assert (found["failing_calls"] > 0).sum() == 20
    assert not found["destructive"].any()
    assert not found["personal_data"].any()
    # This log does not say which tools were offered.
    assert np.isnan(found["not_offered"]).all()
    # Half of the last answers hold flights, times and prices; all were looked up but one refund,
    # a difference that the agent worked out, and the last digits of a gift card's long name.
    assert np.isnan(found["unverifiable"]).sum() == 22
    assert (found["unverifiable"] > 0).sum() == 2


def test_intercode_sql(broken):
    block, found = broken("intercode-sql/ic_sql_multiturn_gpt-4_10_turns.json")
    assert len(block) == 125
    # 97 of the runs hold a query that the database refused: they are ten tries at a schema that
    # has to be guessed at first.
    assert (found["failing_calls"] > 0).sum() == 97
    # All are queries; "update", "delete" and "drop" stand in no statement of them.
    assert not found["destructive"].any()
    # They end with a call, so that there is no answer to verify.
    assert np.isnan(found["unverifiable"]).all()
