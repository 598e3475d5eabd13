//! Verdicts agree with those of a single interpreter: whatever program tests commonly do works here, or there is no
//! verdict, with a reason. Every case that passes here passes in plain Python.

use crate::common::{Expected, check, check_named};

#[track_caller]
fn passes(solution: &str, tests: &str) {
    check_named(&names(solution), solution, tests, Expected::Pass);
}

#[track_caller]
fn has_no_verdict(solution: &str, tests: &str, why: &'static str) {
    check_named(&names(solution), solution, tests, Expected::Unsupported(why));
}

/// Names that a program defines at its top level.
fn names(solution: &str) -> Vec<&str> {
    let name = |line: &str| -> Option<usize> {
        ["async def ", "def ", "class "]
            .into_iter()
            .find(|word| line.starts_with(word))
            .map(str::len)
    };
    solution
        .lines()
        .filter_map(|line| {
            let rest = match name(line) {
                Some(at) => &line[at..],
                None => line.split_once(" = ").filter(|(left, _)| !left.starts_with(' '))?.0,
            };
            rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .next()
        })
        .collect()
}

#[test]
fn arguments_are_changed_in_place() {
    passes("def f(x): x.sort()", "x = [3, 1, 2]\nf(x)\nassert x == [1, 2, 3]");
    passes(
        "def f(rows):\n    for row in rows: row.reverse()\n    rows.append(rows[0])",
        "rows = [[1, 2], [3]]\nfirst = rows[0]\nf(rows)\n\
         assert rows == [[2, 1], [3], [2, 1]] and rows[2] is first is rows[0]\n\
         first.append(9)\nassert rows[2] == [2, 1, 9]",
    );
    passes(
        "def f(d): d['b'] = d.pop('a')\ndef g(s): s.discard(1); s.add(7)\ndef h(b): b[0] = 65; b.extend(b'z')\ndef k(q): q.rotate()",
        "import collections\nd, s, b, q = {'a': [1], 'c': 2}, {1, 2}, bytearray(b'abc'), collections.deque([1, 2, 3], 3)\n\
         inner = d['a']\nf(d), g(s), h(b), k(q)\n\
         assert d == {'c': 2, 'b': [1]} and list(d) == ['c', 'b'] and d['b'] is inner\n\
         assert s == {2, 7} and b == b'Abcz' and q == collections.deque([3, 1, 2])",
    );
    passes(
        "def f(x):\n    x.append(1)\n    raise ValueError",
        "x = []\ntry: f(x)\nexcept ValueError: pass\nassert x == [1]",
    );
    passes(
        "def f(*, box): box['n'] += 1",
        "b = {'n': 1}\nf(box=b)\nf(box=b)\nassert b == {'n': 3}",
    );
    // A program that modifies its argument, although the tests require that it does not.
    check(
        "def f(x): x.sort(); return list(x)",
        "x = [2, 1]\nassert f(x) == [1, 2]\nassert x == [2, 1]",
        Expected::Fail("AssertionError"),
    );
}

#[test]
fn what_both_sides_hold_stays_one_thing() {
    passes(
        "def f(x): return x",
        "a, b, t, s = [1], {}, (1, 2), 'some text'\nassert f(a) is a and f(b) is b and f(t) is t and f(s) is s\n\
         assert f([a, a])[1] is a and f(a) is not f([1])",
    );
    passes(
        "kept = []\ndef f(x): kept.append(x)\ndef g(): return [sum(x) for x in kept]\ndef h(): return kept",
        "a = [1, 2]\nf(a)\nf([5])\na.append(3)\nassert g() == [6, 5]\nk = h()\nassert k[0] is a and h() is k\n\
         k.append([7])\ndel a\nk[0].append(10)\nassert g() == [16, 5, 7]",
    );
    passes(
        "def f(x, seen=[]): seen.append(x); return seen",
        "a, b = f(1), f(2)\nassert a is b and a == [1, 2]",
    );
    passes("def f(x): return x[0] is x", "x = []\nx.append(x)\nassert f(x)");
    passes(
        "class S:\n    def __init__(self): self.items = []\n    def push(self, x): self.items.append(x)",
        "s = S()\nitems = s.items\ns.push(1)\nassert items == [1]\nitems.append(2)\nassert s.items is items == [1, 2]",
    );
    passes(
        "def f(x): return [x]",
        "rows = [f(n) for n in range(2000)]\nassert [row[0] for row in rows] == list(range(2000))",
    );
}

#[test]
fn sets_keep_their_order() {
    let tests =
        "for s in ({3, 1, 2}, {16, 8, 0}, {12, 13, 14, 15, 16}, set(range(0, 100, 7)), {x * x for x in range(12)},
        frozenset([1000, 24, 8, 3]), {12, 13} | {99, 98, 3}, {(1, 2), (0, 9)}, {-1, -2, 5}, set(range(30)) - {3}):
    assert f(s) == list(s), s";
    passes("def f(s): return list(s)", tests);
    passes(
        "def f(x): return set(x), {y for y in x}, set(x) | {50}",
        "for x in ([12, 13, 14, 15, 16], [8, 16, 0, 24], list(range(0, 200, 9))):
    a, b, c = f(x)
    assert list(a) == list(set(x)) and list(b) == list({y for y in x}) and list(c) == list(set(x) | {50})",
    );
    check(
        "def f(s): return tuple(s)",
        "assert f({12, 13, 14, 15, 16}) == tuple(sorted({12, 13, 14, 15, 16}))",
        Expected::Fail("AssertionError"),
    );
}

#[test]
fn exceptions_have_their_class_and_what_is_in_it() {
    let own = "class A(ValueError): pass
class E(A):
    code = 7
    def __init__(self, a, b): super().__init__(f'{a}-{b}'); self.a, self.b = a, [b]
    def __str__(self): return 'E:' + str(self.a)
    def twice(self): return 2 * self.a
def f(): raise E(3, 4)
def g(k):
    if k == 'o': open('/nowhere/x')
    if k == 'u': b'\\xff'.decode()
    if k == 'k': {}['k']
    if k == 'c':
        try: 1 / 0
        except ZeroDivisionError as error: raise TypeError('t') from error
    return ValueError('bad', 3)";
    passes(
        own,
        "try: f()
except A as e:
    assert type(e) is E and isinstance(e, ValueError) and str(e) == 'E:3' and e.args == ('3-4',)
    assert (e.a, e.b, e.code, e.twice()) == (3, [4], 7, 6) and issubclass(E, A) and not issubclass(A, E)
else: assert False
try: raise E(5, 6)
except ValueError as e: assert e.a == 5",
    );
    passes(
        own,
        "try: g('o')
except FileNotFoundError as e: assert e.errno == 2 and e.filename == '/nowhere/x' and str(e).endswith(\"'/nowhere/x'\")
else: assert False
try: g('u')
except UnicodeDecodeError as e: assert e.start == 0 and e.object == b'\\xff'
else: assert False
try: g('k')
except LookupError as e: assert str(e) == \"'k'\" and e.args == ('k',)
else: assert False
try: g('c')
except TypeError as e: assert isinstance(e.__cause__, ZeroDivisionError)
else: assert False
e = g('')
assert isinstance(e, ValueError) and e.args == ('bad', 3)",
    );
    passes(
        "import json, decimal\ndef f(s): return json.loads(s)\ndef g(s): return decimal.Decimal(s)",
        "import json, decimal
try: f('{')
except json.JSONDecodeError as e: assert e.pos == 1
else: assert False
try: g('x')
except decimal.InvalidOperation: pass
else: assert False",
    );
    passes(
        "def f(x):\n    if x: raise ZeroDivisionError('a b')",
        "import unittest\ncase = unittest.TestCase()\ncase.assertRaises(ArithmeticError, f, 1)
with case.assertRaisesRegex(ZeroDivisionError, 'a b'): f(1)",
    );
    check(own, "f()", Expected::Fail("E: E:3 (line 7 of the program)"));
}

#[test]
fn functions_and_iterators_of_the_tests_are_used() {
    passes(
        "def f(g, xs): return [g(x) for x in xs]\ndef g(h):\n    try: h()\n    except ValueError as e: return 'caught ' + str(e)",
        "seen = []\nassert f(lambda x, y=10: x + y, [1]) == [11] and f(seen.append, [1, 2]) == [None, None] == f(seen.append, (3, 4))
assert seen == [1, 2, 3, 4] and f(str, [1]) == ['1'] and f(str.upper, 'a') == ['A']
class Mine(ValueError): pass
def h(): raise Mine('m')
assert g(h) == 'caught m'
def k(): raise KeyError('z')
try: g(k)
except KeyError as e: assert e.args == ('z',)
else: assert False",
    );
    passes(
        "import functools\ndef f(fn):\n    calls = []\n    @functools.wraps(fn)\n    def go(*a, **k):\n        calls.append(a)\n        return fn(*a, **k)\n    go.calls = calls\n    return go\n\
         def curry(fn):\n    n = fn.__code__.co_argcount\n    def go(*a): return fn(*a) if len(a) >= n else (lambda *b: go(*a, *b))\n    return go",
        "@f\ndef add(a, b=2): return a + b\nassert add(1) == 3 and add(1, b=5) == 6 and add.calls == [(1,), (1,)] and add.__name__ == 'add'\n\
         assert curry(lambda a, b, c: (a, b, c))(1)(2)(3) == (1, 2, 3)\nh = lambda: 3\nassert f(h).__wrapped__ is h",
    );
    passes(
        "def f(items): return next(items), list(items)\ndef g(items): return sum(items)",
        "x = (n for n in (1, 2, 3))\nassert f(x) == (1, [2, 3]) and list(x) == []\n\
         assert f(map(str, [1, 2])) == ('1', ['2']) and g({1: 2}.values()) == 2 and g({1: 2}) == 1",
    );
}

#[test]
fn classes_of_the_solutions_are_classes() {
    passes(
        "class V:
    count = 0
    def __init__(self, x, y): self.x, self.y = x, y; V.count += 1
    def __add__(self, o): return V(self.x + o.x, self.y + o.y)
    def __eq__(self, o): return isinstance(o, V) and (self.x, self.y) == (o.x, o.y)
    def __lt__(self, o): return self.x < o.x
    def __hash__(self): return hash(self.x)
    def __repr__(self): return f'V({self.x}, {self.y})'
    def __abs__(self): return (self.x ** 2 + self.y ** 2) ** .5
    def __iter__(self): yield self.x; yield self.y
    def __enter__(self): self.x = 100; return self
    def __exit__(self, kind, value, trace): self.x = 0; return kind is KeyError
    @property
    def area(self): return self.x * self.y
    @staticmethod
    def zero(): return V(0, 0)",
        "import copy
assert V(1, 2) + V(3, 4) == V(4, 6) and repr(V(1, 2)) == 'V(1, 2)' == str(V(1, 2)) and abs(V(3, 4)) == 5
assert tuple(V(1, 2)) == (1, 2) and V(2, 3).area == 6 and sorted([V(2, 0), V(1, 0)])[0] == V(1, 0) == min(V(1, 0), V(3, 3))
assert len({V(1, 1), V(1, 1)}) == 1 and isinstance(V.zero(), V) and type(V.zero()).__name__ == 'V' and hasattr(V, 'zero')
before = V.count
v = V(1, 1)
assert V.count == before + 1 and not hasattr(v, 'z') and getattr(v, 'z', 3) == 3 and not callable(v) and vars(v) == {'x': 1, 'y': 1}
with v as w: assert w.x == 100 and w is v
with v: raise KeyError
assert v.x == 0
u = copy.deepcopy(v)
u.x = 5
assert v.x == 0 and u == V(5, 1)",
    );
    passes(
        "from enum import Enum, IntEnum
class C(Enum): RED = 1; BLUE = 'b'
class N(IntEnum): ONE = 1; TWO = 2
def f(x): return C.RED if x else C('b')",
        "assert f(1) is C.RED == C['RED'] and f(0).value == 'b' and [c.name for c in C] == ['RED', 'BLUE'] and len(C) == 2
assert repr(f(1)) == '<C.RED: 1>' and {C.RED: 1}[f(1)] == 1 and isinstance(f(1), C)
assert N.TWO == 2 and N(1).name == 'ONE' and N.ONE < N.TWO and N.ONE + 1 == 2 and isinstance(N.ONE, int)",
    );
    passes(
        "from collections import namedtuple
P = namedtuple('P', 'x y')
class L(list):
    def total(self): return sum(self)
    def append(self, x): super().append(2 * x)
def f(): return P(1, 2)
def g(): return L([1, 2])",
        "assert f() == (1, 2) == P(1, 2) and f().x == 1 and f()._fields == ('x', 'y') and repr(f()) == 'P(x=1, y=2)'
assert f()._replace(x=5) == (5, 2) and hash(f()) == hash((1, 2))
l = g()
l.append(5)
assert l == [1, 2, 10] and l.total() == 13
l.extend([1])
assert l.total() == 14 and len(l) == 4",
    );
    passes(
        "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def area(self): ...\nclass S(A):\n    def area(self): return 2\n    def __len__(self): return 3",
        "import collections.abc\ns = S()\nassert s.area() == 2 and isinstance(s, A) and isinstance(s, collections.abc.Sized)
assert not isinstance(s, collections.abc.Iterable) and len(s) == 3\ntry: A()\nexcept TypeError: pass\nelse: assert False",
    );
}

#[test]
fn generators_and_coroutines_run_step_by_step() {
    passes(
        "done = []\ndef f(n):\n    try:\n        for i in range(n):\n            x = yield i\n            if x: yield x * 10\n    finally: done.append(n)\n    return 'end'\ndef g(): return done",
        "import types\nx = f(2)\nassert isinstance(x, types.GeneratorType) and next(x) == 0 and x.send(5) == 50 and next(x) == 1
try: next(x)
except StopIteration as stop: assert stop.value == 'end'
else: assert False
y = f(7)
next(y)
y.close()
assert g() == [2, 7]
z = f(8)
next(z)
try: z.throw(ValueError('v'))
except ValueError as e: assert str(e) == 'v'
assert g() == [2, 7, 8] and list(f(3)) == [0, 1, 2]",
    );
    passes(
        "import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    if x < 0: raise ValueError('neg')\n    return 2 * x\nasync def g(n):\n    for i in range(n): yield i",
        "import asyncio\nasync def main(): return await asyncio.gather(f(1), f(2)), [x async for x in g(3)]
assert asyncio.run(main()) == ([2, 4], [0, 1, 2])\ntry: asyncio.run(f(-1))\nexcept ValueError as e: assert str(e) == 'neg'\nelse: assert False",
    );
}

#[test]
fn data_of_the_library_is_data() {
    passes(
        "from datetime import timedelta, timezone\nimport array, collections, pathlib, uuid
def f(d): return d.astimezone(timezone(timedelta(hours=2), 'X'))
def g(x): return type(x)
def h(): return collections.defaultdict(list, {1: [2]}), array.array('i', [1]), pathlib.Path('a/b'), uuid.UUID(int=7)
def k(d): return d.keys(), d.values(), d.items()",
        "import array, collections, pathlib, uuid\nfrom datetime import datetime, timezone
noon = datetime(2024, 1, 1, 12, tzinfo=timezone.utc)
assert f(noon) == noon and f(noon).hour == 14 and f(noon).tzname() == 'X'
assert g(1) is int and g(None) is type(None) and g(noon) is datetime and g(ValueError()) is ValueError
d, a, p, u = h()
assert d[5] == [] and d[1] == [2] and a == array.array('i', [1]) and p == pathlib.Path('a', 'b') and u == uuid.UUID(int=7)
a, b, c = k({1: 2})
assert a == {1} and list(b) == [2] and c == {(1, 2)}",
    );
    passes(
        "def f(n): return list(range(n)), [n / 7] * n, [True] * n, [1.0] * n + [1], [2 ** 70] * n",
        "a, b, c, d, e = f(50)\nassert a == list(range(50)) and b == [50 / 7] * 50 and c[3] is True and type(d[-1]) is int and e == [1 << 70] * 50",
    );
}

#[test]
fn what_tests_do_around_a_call_is_seen() {
    passes(
        "def f(x): print('got', x)",
        "import contextlib, io\nout = io.StringIO()\nwith contextlib.redirect_stdout(out): f(3)\nf(4)\nassert out.getvalue() == 'got 3\\n'",
    );
    passes(
        "import random\ndef f(): return random.random()",
        "import random\nrandom.seed(5)\na, b = f(), f()\nrandom.seed(5)\nassert (a, b) == (random.random(), random.random())",
    );
    passes(
        "def f(x): return x * x",
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as pool:\n    assert list(pool.map(f, range(20))) == [n * n for n in range(20)]",
    );
}

#[test]
fn what_cannot_be_carried_has_no_verdict() {
    let same = "def f(x=None): return x";
    has_no_verdict(same, "f(open('/dev/null'))", "a value of type TextIOWrapper");
    has_no_verdict(same, "class A: pass\nf(A)", "a value of type type");
    has_no_verdict(
        "class A:\n    def f(self): return self.g()\n    def g(self): return 1",
        "class B(A):\n    def g(self): return 2\nassert B().f() == 2",
        "derive a class",
    );
    has_no_verdict(
        "class A:\n    def __init__(self, x): self.x = x\n    def __mul__(self, k): return A(self.x * k)",
        "assert (A(2) * 3).x == 6",
        "`A.__mul__` of the program's would be told int data",
    );
    has_no_verdict(
        "def f(): return int(input())",
        "from unittest import mock\nwith mock.patch('builtins.input', return_value='5'): assert f() == 5",
        "in place of `input`",
    );
    has_no_verdict(
        "def f(): return int(input())",
        "import io, sys\nsys.stdin = io.StringIO('5')\nassert f() == 5",
        "in place of `stdin`",
    );
    has_no_verdict(
        "def f(path): return open(path).read()",
        "with open('x.txt', 'w') as file: file.write('abc')\nassert f('x.txt') == 'abc'",
        "files of its own",
    );
    has_no_verdict(
        "def f(items): return next(items)",
        "try: f(iter([]))\nexcept StopIteration: pass\nelse: assert False",
        "a StopIteration out of a call",
    );
    has_no_verdict(
        "def f(a, b): pass",
        "import inspect\nassert len(inspect.signature(f).parameters) == 2",
        "`__signature__`",
    );
    has_no_verdict(
        "from dataclasses import dataclass\n@dataclass\nclass P: x: int",
        "import dataclasses\nassert dataclasses.asdict(P(1)) == {'x': 1}",
        "`__dataclass_",
    );
    has_no_verdict(
        "import threading, time\ndef f(n):\n    for _ in range(n): threading.Thread(target=time.sleep, args=(1,)).start()",
        "f(40)",
        "more threads than the sandbox",
    );
    // There is no verdict even if the tests, or the program, catch it.
    has_no_verdict(same, "try: f(object())\nexcept: pass", "a value of type object");
    has_no_verdict(
        "def f(g):\n    try: g()\n    except BaseException: return 1",
        "assert f(lambda: object()) == 1",
        "a value of type object",
    );
}
