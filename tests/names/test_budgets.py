"""How many questions each network may have answered: no more than its share, and never none."""

from __future__ import annotations

from zosfsm.names.budgets import BURST_SECONDS, LEAST_RATE, MOST_RATE, NODE_RATE, Budget, Budgets


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(budget: Budget) -> int:
    """How many may be taken now."""
    count = 0
    while budget.take():
        count += 1
    return count


def test_one_that_is_alone_has_a_burst_and_then_its_rate() -> None:
    clock = Clock()
    budget = Budget(Budgets(clock))
    assert taken(budget) == MOST_RATE * BURST_SECONDS
    clock.now += 1
    assert taken(budget) == MOST_RATE


def test_all_together_have_no_more_than_the_node_can_do() -> None:
    clock = Clock()
    shared = Budgets(clock)
    greedy = [Budget(shared) for _ in range(50)]
    for _ in range(20):
        clock.now += 0.25
        sum(map(taken, greedy))
    began, count = clock.now, 0
    for _ in range(40):
        clock.now += 0.25
        count += sum(map(taken, greedy))
    assert count / (clock.now - began) <= NODE_RATE * 1.1


def test_who_asks_little_is_always_answered_beside_many_who_flood() -> None:
    clock = Clock()
    shared = Budgets(clock)
    modest, greedy = Budget(shared), [Budget(shared) for _ in range(200)]
    for _ in range(100):
        clock.now += 1 / LEAST_RATE
        for each in greedy:
            taken(each)
        assert modest.take()


def test_what_was_taken_for_no_question_is_there_for_the_next_one() -> None:
    budget = Budget(Budgets(Clock()))
    taken(budget)
    budget.give_back()
    assert taken(budget) == 1
