"""Membership is that of sets."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.label.risk.membership import among

KEYS = st.lists(st.integers(-3, 3) | st.sampled_from([2**62, -(2**62)]), max_size=6)


@given(KEYS, KEYS)
def test_a_key_is_found_where_it_is_known(keys, known):
    found = among(np.array(keys, np.int64), np.array(known, np.int64))
    assert found.tolist() == [key in set(known) for key in keys]
