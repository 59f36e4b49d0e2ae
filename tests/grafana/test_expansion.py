"""The model of what Grafana's data source does to a query: each rule on queries whose fate in Grafana is known."""

from __future__ import annotations

import pytest

from tests.grafana.expansion import RULES, expand

BROKEN = "SELECT count(x) * 3600.0 / $__interval_ms FROM y WHERE z =~ /^a$/ GROUP BY time($__interval)"
WHOLE = "SELECT count(x) * 3600.0 /\n$__interval_ms FROM y WHERE z =~ /^a$/ GROUP BY time($__interval)"
INSIDE = "SELECT x FROM y WHERE z =~ /^$name$/"
OUTSIDE = "SELECT x FROM y WHERE z = '$name' AND a =~ /b/"


def asked(query: str, rule: str, name: str = "a.b") -> str:
    return expand(query, {"name": name}, start=0, stop=60, interval=10, rule=RULES[rule])


@pytest.mark.parametrize("rule", ["10.3-11.5.2", "11.5.3-11.6.3", "12.2.1-13.1"])
def test_a_division_by_a_variable_before_an_expression_is_taken_for_one(rule: str) -> None:
    assert r"3600.0 / \10000 FROM" in asked(BROKEN, rule)


@pytest.mark.parametrize("rule", ["11.6.4-12.2.0", "13.2"])
def test_some_versions_know_a_division(rule: str) -> None:
    assert "3600.0 / 10000 FROM" in asked(BROKEN, rule)


@pytest.mark.parametrize("rule", RULES)
def test_a_division_at_the_end_of_its_line_is_none_anywhere(rule: str) -> None:
    assert asked(WHOLE, rule) == "SELECT count(x) * 3600.0 /\n10000 FROM y WHERE z =~ /^a$/ GROUP BY time(10s)"


@pytest.mark.parametrize("rule", RULES)
def test_a_name_in_an_expression_is_escaped_and_one_outside_is_not(rule: str) -> None:
    assert asked(INSIDE, rule) == r"SELECT x FROM y WHERE z =~ /^a\.b$/"
    assert asked(OUTSIDE, rule) == "SELECT x FROM y WHERE z = 'a.b' AND a =~ /b/"


@pytest.mark.parametrize("rule", RULES)
def test_a_number_is_never_escaped(rule: str) -> None:
    assert asked(INSIDE, rule, "1.5") == "SELECT x FROM y WHERE z =~ /^1.5$/"
