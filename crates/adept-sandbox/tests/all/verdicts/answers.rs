//! Malicious answers: nothing that a solution returns has any effect in the judge.

use crate::common::{Expected, check, check_named};

const TELL: &str = "__import__('sys').modules['__main__'].tell(b'P')";

/// A builtin does not become the judge's own: calls are forwarded to the player, where no verdict can be written.
#[test]
fn builtins_in_answers_are_the_players() {
    for builtin in ["exec", "eval", "__import__('builtins').eval"] {
        let solution = format!("f = {builtin}\ndef g(): return {TELL:?}");
        check_named(&["f", "g"], &solution, "f(g())\nassert False", Expected::Fail(""));
        let answered = format!("def f(): return {builtin}\ndef g(): return {TELL:?}");
        check_named(&["f", "g"], &answered, "f()(g())\nassert False", Expected::Fail(""));
        let method =
            format!("class f:\n    def push(self, x): self.push = {builtin}\n    def pop(self): return {TELL:?}");
        check(
            &method,
            "s = f()\ns.push(1)\ns.push(s.pop())\nassert False",
            Expected::Fail(""),
        );
    }
    // Resolved in the judge, it would reveal the judge's own names.
    for builtin in ["vars", "globals", "locals", "dir"] {
        check(&format!("f = {builtin}"), "assert 'tell' in f()", Expected::Fail(""));
    }
    check("f = sorted", "assert f([2, 1]) == [1, 2]", Expected::Pass);
    check("f = int", "assert f('12') == 12", Expected::Pass);
}

#[test]
fn a_class_of_the_solutions_is_not_asked_about_what_is_expected() {
    let liar = "class f:
    def __init__(self, x): pass
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __contains__ = __lt__
    def __sub__(self, other): return 0.0
    __rsub__ = __radd__ = __add__ = __sub__
    __hash__ = None";
    for tests in [
        "assert f(3) == 3.14",
        "assert 3.14 == f(3)",
        "assert not f(3) != 3.14",
        "assert abs(f(3) - 3.14) < 1e-9",
        "assert abs(3.14 - f(3)) < 1e-9",
        "assert 3 < f(3) < 4",
        "assert 3.14 in f(3)",
        "assert f(3) in [3.14]",
        "x = f(3)\nx -= 3.14\nassert x == 0",
        "import math\nassert math.isclose(f(3), 3.14)",
        "import unittest\nunittest.TestCase().assertEqual(f(3), 3.14)",
        "import unittest\nunittest.TestCase().assertAlmostEqual(f(3), 3.14)",
    ] {
        check(liar, tests, Expected::Fail(""));
    }
    // A class that is selective about lying, or honest, is not told either.
    let careful = "told = []
class V:
    def __init__(self, x): self.x = x
    def __eq__(self, other): told.append(other); return self.x == other
    def __sub__(self, other): told.append(other); return 0.0
    def __contains__(self, other): told.append(other); return other == 42
    def __hash__(self): return 0
def f(x): return V(x)
def g(): return 42 in told";
    let told = "\nfinally:\n    assert False, g()";
    for test in ["assert f(42) == 42", "assert abs(f(3) - 42) < 1", "assert 42 in f(3)"] {
        check_named(&["f", "g"], careful, test, Expected::Unsupported("would be told"));
        let caught = format!("try:\n    {test}\nexcept BaseException:\n    pass{told}");
        check_named(&["f", "g"], careful, &caught, Expected::Unsupported("would be told"));
    }
    // Data is compared as data, whatever its class.
    for (base, answer, wanted) in [
        ("int", "3", "42"),
        ("str", "'a'", "'b'"),
        ("list", "[1]", "[2]"),
        ("dict", "{}", "{1: 2}"),
    ] {
        let solution = format!(
            "class L({base}):\n    def __eq__(self, other): return True\n    __hash__ = None\ndef f(): return L({answer})"
        );
        check(
            &solution,
            &format!("assert f() == {wanted}"),
            Expected::Fail("AssertionError"),
        );
    }
    let hashed = "class S(str):\n    def __eq__(self, other): return True\n    def __hash__(self): return hash('b')\ndef f(): return S('a')";
    check(hashed, "assert {'b': 1}[f()] == 1", Expected::Fail("KeyError"));
}

/// Two objects of the solution's classes are compared where both were created.
#[test]
fn things_of_the_solutions_are_compared_by_their_class() {
    let point = "from dataclasses import dataclass
@dataclass(frozen=True)
class P:
    x: int
def f(x): return P(x)
def g(): return P";
    check_named(
        &["P", "f"],
        point,
        "assert f(1) == P(1) and f(1) != P(2) and len({f(1), P(1)}) == 1 and f(1) in [P(2), P(1)]",
        Expected::Pass,
    );
    check_named(
        &["P", "f"],
        point,
        "assert f(1) == P(2)",
        Expected::Fail("AssertionError"),
    );
    check_named(&["P", "f"], point, "assert f(1) != 1 and f(1) != (1,)", Expected::Pass);
    check_named(
        &["P", "g"],
        point,
        "assert isinstance(P(1), P) and g() is P and type(P(1)) is P and not isinstance(3, P)",
        Expected::Pass,
    );
    // Claiming to be an int does not confer an int's behaviour.
    let claims = "class L:\n    __class__ = int\n    def __index__(self): return 42\ndef f(): return L()";
    check(claims, "assert isinstance(f(), int)", Expected::Fail("AssertionError"));
    check(claims, "assert f() == 42", Expected::Fail("AssertionError"));
}

/// What the tests pass to the player is called and read there, and nothing else of theirs is accessible.
#[test]
fn functions_of_the_tests_are_called_and_not_looked_into() {
    let curious = "def f(g):\n    return [name for name in ('__globals__', '__closure__', '__code__') if 'needle' in repr(\
                   [getattr(getattr(g, name, None), part, None) for part in ('co_consts', 'co_names', 'keys')])]";
    check(
        curious,
        "needle = 3\nassert f(lambda: needle + 1) == []",
        Expected::Pass,
    );
    check(
        "def f(g): return g.__globals__.get('expected', 'none')",
        "expected = 42\nassert f(lambda: 0) == 42",
        Expected::Fail("AssertionError"),
    );
    check(
        "def f(o): return o.secret",
        "class O: secret = 3\nassert f(O()) == 3",
        Expected::Unsupported("a value of type O"),
    );
}
