"""The conditions of [[when]] and [[exclude]]: a value, a list of them, or a comparison."""

import operator
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ksmith.records import canonical
from ksmith.settings import Declared, fields
from ksmith.settings.words import show
from ksmith.study.declarations import Given, nearest

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
LARGEST = 2**63
COMPARISON = re.compile(r"\s*(==|!=|>=|<=|>|<)\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison with a constant."""

    sign: str
    operand: Any

    def __str__(self) -> str:
        return f"{'=' if self.sign == '==' else self.sign} {canonical(self.operand)}"

    def holds(self, value: Any) -> bool:
        """Return whether `value` passes; a value that is not there, None, never does."""
        return value is not None and OPERATORS[self.sign](value, self.operand)


def read_condition(
    owners: Mapping[str, Declared], name: str, given: Given
) -> tuple[tuple[Test, ...], str]:
    """Return the tests of which one has to hold, and what is wrong with them, or ""."""
    setting = next(iter(owners.values()))
    tests: list[Test] = []
    for part in _parts(setting, given.value):
        test = _test(setting, part)
        if isinstance(test, str):
            return (), f"is compared with {show(part)}: {test}"
        tests.append(test)
    if not tests:
        return (), "is compared with an empty list: leave it out, or name a value"
    return tuple(tests), ""


def _parts(setting: Declared, value: Any) -> list[Any]:
    if not isinstance(value, list):
        return [value]
    whole = setting.is_list and not all(isinstance(item, list) for item in value)
    return [value] if whole else value


def _test(setting: Declared, value: Any) -> "Test | str":
    """Return the test, or what is allowed."""
    found = COMPARISON.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return _equal(setting, "==", value)
    sign, text = found[1], found[2]
    if sign in ("==", "!="):
        return _equal(setting, sign, _operand(text))
    if not setting.is_number:
        return f"only numbers have an order; {setting.name} {_allowed(setting)}"
    number = _operand(text)
    if (
        isinstance(number, bool)
        or not isinstance(number, int | float)
        or not abs(number) < LARGEST
    ):
        return f'a comparison needs a number, such as "{sign} 10"'
    return Test(sign, number)


def _operand(text: str) -> Any:
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return table["value"] if list(table) == ["value"] else text


def _equal(setting: Declared, sign: str, value: Any) -> "Test | str":
    try:
        checked = fields.check(setting, value)
    except ValueError as error:
        near = nearest(value, setting.choices) if isinstance(value, str) else None
        hint = f"; did you mean {show(near)}?" if near else ""
        more = '; a comparison is written "> 10"' if setting.is_number else ""
        return f"{error}{hint}{more}"
    return Test(sign, fields.plain(setting, checked))


def _allowed(setting: Declared) -> str:
    return f"must be {setting.type_name}"
