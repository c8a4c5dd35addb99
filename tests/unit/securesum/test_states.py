"""The transition tables: nothing but what they list can happen, and every state can be reached."""

from __future__ import annotations

import itertools

import pytest

from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum.states import (
    ANSWERING,
    COORDINATOR,
    KEY_PHASES,
    PHASES,
    SITE,
    CoordinatorEvent,
    CoordinatorState,
    Machine,
    SiteEvent,
    SiteState,
    phases_of,
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
    """What `Site.answer` relies on: one answer, after a question, and after the keys where a sum has keys."""
    answers = {SiteEvent.ANSWER, SiteEvent.ANSWER_TO_OPEN}
    assert {state for (state, event) in SITE if event in answers} == {SiteState.COMPUTING}
    into = {event for (state, event), after in SITE.items() if after is SiteState.COMPUTING and state is not after}
    assert into == {SiteEvent.QUESTION, SiteEvent.LAST_KEYS}
    assert not [event for (state, event), after in SITE.items() if event in answers and after is SiteState.COMPUTING]


def test_keys_only_ever_come_between_a_question_and_its_answer():
    """And a sum is only ever helped to open once its answer has left."""
    keys, relays = {SiteEvent.KEYS, SiteEvent.LAST_KEYS}, {SiteEvent.RELAY, SiteEvent.LAST_RELAY}
    assert {state for (state, event) in SITE if event in keys} == {SiteState.PREPARING}
    assert {state for (state, event) in SITE if event in relays} == {SiteState.CLOSING}
    closing = {event for (state, event), after in SITE.items() if after is SiteState.CLOSING and state is not after}
    assert closing == {SiteEvent.ANSWER_TO_OPEN}


@pytest.mark.parametrize("number", [1, 2, 16, 17, 18, 33])
@pytest.mark.parametrize("protocol", PHASES)
def test_every_sum_holds_one_answer_and_keys_come_first_where_a_batch_begins(protocol, number):
    phases = phases_of(protocol, number)
    assert len([phase for phase in phases if phase in ANSWERING]) == 1
    begins = protocol == "masking with dropouts" and number in (1, 17, 33)
    assert [phase in KEY_PHASES for phase in phases] == [begins and i < 2 for i in range(len(phases))]
