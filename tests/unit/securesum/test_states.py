"""The transition tables: nothing but what they list can happen, and every state can be reached."""

from __future__ import annotations

import itertools

import pytest

from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum.states import (
    COORDINATOR,
    SITE,
    CoordinatorEvent,
    CoordinatorState,
    Machine,
    SiteEvent,
    SiteState,
)

TABLES = [(SITE, SiteState, SiteEvent), (COORDINATOR, CoordinatorState, CoordinatorEvent)]


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_every_event_outside_the_table_is_refused_by_name(table, states, events):
    for state, event in itertools.product(states, events):
        machine = Machine(table, state)
        if (state, event) in table:
            machine.move(event)
            assert machine.state is table[state, event]
        else:
            with pytest.raises(PeerError) as refused:
                machine.move(event)
            assert event.value in str(refused.value)
            assert state.value in str(refused.value)
            assert machine.state is state


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_every_state_can_be_reached_and_every_event_is_used(table, states, events):
    reached = {next(iter(states))}
    for _ in states:
        reached |= {after for (before, _event), after in table.items() if before in reached}
    assert reached == set(states)
    assert {event for _state, event in table} == set(events)


def test_an_answer_only_ever_follows_a_question():
    """What `Site.answer` relies on."""
    assert [state for (state, event) in SITE if event is SiteEvent.ANSWER] == [SiteState.COMPUTING]
    into = [event for (state, event), after in SITE.items() if after is SiteState.COMPUTING and state is not after]
    assert into == [SiteEvent.QUESTION]
