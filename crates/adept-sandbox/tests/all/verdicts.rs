//! Programs that pretend to pass, and the outcomes of programs in general. Only the tests can produce a pass.

mod answers;
mod plain;

use crate::common::{Expected, check, check_any, run, sandbox, unhurried};
use adept_sandbox::SandboxError;

const WRONG: Expected = Expected::Fail("AssertionError [assert f(");

#[test]
fn right_and_wrong_programs_are_told_apart() {
    let double = "def f(x):\n    return 2 * x";
    check(double, "assert f(2) == 4", Expected::Pass);
    check(double, "assert f(2) == 5", WRONG);
    check(double, "assert f(2) == 5, 'why'", Expected::Fail("AssertionError: why"));
    check(double, "assert f('ab', 2)", Expected::Fail("TypeError"));
    check(
        double,
        "assert f([1, (2, {3: None})]) == [1, (2, {3: None})] * 2",
        Expected::Pass,
    );
    check("def g(): pass", "f()", Expected::Fail("NameError"));
    check("", "pass", Expected::Pass);
    check("1 / 0\ndef f(): pass", "f()", Expected::Fail("ZeroDivisionError"));
    check(
        "def f():\n    return 1 / 0",
        "f()",
        Expected::Fail("line 2 of the program"),
    );
    check("import nowhere", "f()", Expected::Fail("ModuleNotFoundError"));
    check("def f():\n    return input()", "f()", Expected::Fail("EOFError"));
    let expects = "try:\n    f()\nexcept ZeroDivisionError:\n    pass\nelse:\n    raise AssertionError";
    check("def f():\n    return 1 / 0", expects, Expected::Pass);
    check("def f():\n    return 1", expects, Expected::Fail("AssertionError"));
    let of_its_own = "class Odd(Exception): pass\ndef f():\n    raise Odd('so')";
    check(of_its_own, "f()", Expected::Fail("Odd: so"));
}

#[test]
fn what_is_no_python_is_a_syntax_error() {
    check("def f(:\n    return 1", "f()", Expected::Syntax("line 1"));
    check("def f():\nreturn 1", "f()", Expected::Syntax("IndentationError"));
    check("def f():\n    return 1\0", "f()", Expected::Syntax("null bytes"));
    check(
        "def f():\n    return '\u{fffd}\u{7f}\u{1b}'",
        "assert f() == '\\ufffd\\x7f\\x1b'",
        Expected::Pass,
    );
    // The text is already decoded: a contradictory encoding declaration is ignored.
    check(
        "# -*- coding: utf-16 -*-\ndef f():\n    return 'ä'",
        "assert f() == 'ä'",
        Expected::Pass,
    );
    check_any(
        &format!("def f():\n    return {}1", "(".repeat(100_000)),
        "f()",
        &[Expected::Syntax(""), Expected::Memory],
    );
    check_any(
        &format!("def f():\n    return {}1", "-".repeat(1_000_000)),
        "f()",
        &[Expected::Syntax(""), Expected::Memory, Expected::Fail("")],
    );
    // The program's own claim of a syntax error, once it runs, is ignored.
    let forged = r"import os
body = bytes(8) + b't*\5\0\0\0s\6\0\0\0syntaxs\0\0\0\0s\0\0\0\0Ns\1\0\0\0x'
for fd in range(3, 12):
    try: os.write(fd, len(body).to_bytes(4, 'little') + body)
    except OSError: pass
def f(): return 3";
    check(forged, "assert f() == 4", Expected::Fail(""));
    // A syntax error raised while the program runs is an ordinary failure.
    check("def f():\n    eval('(')", "f()", Expected::Fail("SyntaxError"));
    check("exec('(')\ndef f(): pass", "f()", Expected::Fail("SyntaxError"));
}

#[test]
fn ending_early_is_not_passing() {
    for (end, expected) in [
        ("sys.exit(0)", Expected::Fail("the program tried to end")),
        ("raise SystemExit", Expected::Fail("the program tried to end")),
        ("raise KeyboardInterrupt", Expected::Fail("the program tried to end")),
        ("os._exit(0)", Expected::Fail("exit code 0")),
        ("os._exit(7)", Expected::Fail("exit code 7")),
        ("os.abort()", Expected::Fail("SIGABRT")),
        ("signal.raise_signal(15)", Expected::Fail("SIGTERM")),
        ("os.closerange(3, 64)", Expected::Fail("")),
        (
            "os.execv(sys.executable, [sys.executable, '-c', ''])",
            Expected::Fail("exit code 0"),
        ),
    ] {
        let imports = "import os, signal, sys";
        check(&format!("{imports}\n{end}\ndef f(): pass"), "f()", expected);
        check(
            &format!("{imports}\ndef f():\n    {end}"),
            "f()\nassert False",
            expected,
        );
        let at_exit = format!("{imports}\nimport atexit\natexit.register(lambda: os._exit(0))\ndef f():\n    {end}");
        check(&at_exit, "f()\nassert False", expected);
    }
    // An exit that the tests expect is like any other expected exception.
    check(
        "import sys\ndef f():\n    sys.exit(3)",
        "try:\n    f()\nexcept SystemExit as error:\n    assert error.code == 3\nelse:\n    assert False",
        Expected::Pass,
    );
    // The tests catch every exception, but the program has ended all the same.
    for (end, said) in [("os._exit(0)", "exit code 0"), ("os.abort()", "SIGABRT")] {
        for catches in ["except:", "except BaseException:"] {
            let tests = format!("for _ in range(3):\n    try:\n        f()\n    {catches}\n        pass");
            check(&format!("import os\ndef f():\n    {end}"), &tests, Expected::Fail(said));
        }
    }
    let garbled = "import os\ndef f():\n    for fd in range(3, 64):
        try: os.write(fd, b'\\xff' * 64)\n        except OSError: pass";
    check(
        garbled,
        "try:\n    f()\nexcept:\n    pass",
        Expected::Fail("make no sense"),
    );
    let catches = "try:\n    f()\nexcept Exception:\n    pass";
    check(
        "import sys\ndef f():\n    sys.exit(0)",
        catches,
        Expected::Fail("tried to end"),
    );
}

#[test]
fn forged_verdicts_are_not_believed() {
    // A message of the judge to its parent, a report of the first process, and an answer of the player.
    let forgeries = [
        r"b'\x01\0\0\0P'",
        r"b'\x01\0\0\0R\x01\0\0\0P'",
        r#"b'{"End":{"code":0,"signal":null}}\n'"#,
        r"b'pass\nOK\n'",
        r"b'\x2f\0\0\0\0\0\0\0\0\0\0\0t*\x05\0\0\0s\x05\0\0\0values\0\0\0\0s\0\0\0\0Ni\x01\0\0\x003'",
        r"b'\0' * 4096",
        r"b'\xff' * 4096",
    ];
    for forgery in forgeries {
        let write = format!("for fd in range(64):\n        try: os.write(fd, {forgery})\n        except OSError: pass");
        let solution = format!("import os\ndef f():\n    {write}\n    return 3");
        check(
            &solution,
            "assert f() == 4\nassert f() == 4\nassert f() == 4",
            Expected::Fail(""),
        );
        let and_end = format!("import os\ndef f():\n    {write}\n    os._exit(0)");
        check(
            &and_end,
            "assert f() == 4\nassert f() == 4\nassert f() == 4",
            Expected::Fail(""),
        );
    }
    check(
        "print('pass')\ndef f():\n    print('OK')\n    return 3",
        "assert f() == 4",
        WRONG,
    );
    // Answers sent ahead of their requests still count as answers: wrong ones.
    let ahead = r"import os, struct
def frame(body): return struct.pack('<I', len(body)) + body
def f():
    answer = bytes(8) + b't*\5\0\0\0s\5\0\0\0values\0\0\0\0s\0\0\0\0Ni\1\0\0\x003'
    for fd in range(3, 64):
        try: os.write(fd, frame(answer) * 8)
        except OSError: pass";
    check(
        ahead,
        "for n in (3, 3, 3, 4):\n    assert f() == n",
        Expected::Fail("AssertionError"),
    );
}

#[test]
fn values_that_are_equal_to_everything_are_not() {
    let liar = "class Liar(BASE):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __getattribute__(self, name): return lambda *rest: True
def f():
    return Liar()";
    for (base, wanted) in [
        ("object", "3"),
        ("int", "3"),
        ("float", "3.5"),
        ("str", "'three'"),
        ("bytes", "b'three'"),
        ("list", "[3]"),
        ("tuple", "(3,)"),
        ("dict", "{3: 3}"),
        ("set", "{3}"),
        ("Exception", "None"),
        ("type(None).__class__", "None"),
    ] {
        let solution = liar.replace("BASE", base);
        check_any(
            &solution,
            &format!("assert f() == {wanted}"),
            &[WRONG, Expected::Fail("")],
        );
        check_any(&solution, &format!("assert {wanted} == f()"), &[Expected::Fail("")]);
        check_any(&solution, &format!("assert not f() != {wanted}"), &[Expected::Fail("")]);
        check_any(&solution, &format!("assert {wanted} in [f()]"), &[Expected::Fail("")]);
    }
    check("def f():\n    return float('nan')", "assert f() == f()", WRONG);
    // An honest program's own subclasses of numbers and lists are compared by their data.
    check(
        "class N(int): pass\ndef f():\n    return N(3)",
        "assert f() == 3",
        Expected::Pass,
    );
    check(
        "class L(list): pass\ndef f():\n    return L([3])",
        "assert f() == [3]",
        Expected::Pass,
    );
}

#[test]
fn the_tests_cannot_be_changed() {
    let tests = "def check(candidate):\n    assert candidate() == 4\ncheck(f)";
    let wrong = Expected::Fail("AssertionError");
    for trick in [
        "def check(candidate): pass",
        "import builtins\nbuiltins.AssertionError = ValueError\nbuiltins.check = lambda candidate: None",
        "import builtins\nfor name in ('isinstance', 'type', 'len', 'compile', 'exec', 'issubclass'):\n    setattr(builtins, name, lambda *rest: True)",
        "import sys\nfor module in list(sys.modules.values()):\n    for name in ('check', 'judge', 'ask', 'tell'):\n        setattr(module, name, lambda *rest: None)",
        "import gc, types\nfor item in gc.get_objects():\n    if isinstance(item, types.FunctionType) and item.__name__ in ('check', 'judge', 'ask'):\n        item.__code__ = (lambda *rest: True).__code__",
        "import sys\nsys.settrace(lambda *rest: None)\nsys.setprofile(lambda *rest: None)",
        "import sys\nsys.excepthook = lambda *rest: None",
        "import sys\nframe = sys._getframe()\nwhile frame:\n    frame.f_globals['raised'] = lambda error: ('value', None)\n    frame = frame.f_back",
        "__name__ = 'tests'\n__builtins__ = {}",
        "import unittest\nunittest.TestCase.assertEqual = lambda *rest: None",
    ] {
        check_any(
            &format!("{trick}\ndef f():\n    return 3"),
            tests,
            &[wrong, Expected::Fail("")],
        );
    }
    // A builtin redefined by the solution does not replace the tests' own: they use only the names declared.
    check(
        "def all(items): return True\ndef f():\n    return [False]",
        "assert all(f())",
        Expected::Fail("AssertionError"),
    );
    // A `StopIteration` escaping from a call would end the tests' loop around it.
    let cut_short = "for got, wanted in zip(map(f, [1, 2]), [3, 4]):\n    assert got == wanted";
    check(
        "def f(x):\n    raise StopIteration",
        cut_short,
        Expected::Fail("StopIteration"),
    );
    check(
        "def f():\n    yield from (1, 2)",
        "assert list(f()) == [1, 2]",
        Expected::Pass,
    );
}

/// A program may answer with anything; the judge must always reach a verdict.
#[test]
fn answers_do_not_bring_the_judge_down() {
    check(
        "def f():\n    return 10 ** 10000",
        "raise KeyError(f())",
        Expected::Fail("KeyError"),
    );
    check(
        "class A:\n    def __repr__(self): raise ValueError\ndef f():\n    return A()",
        "raise KeyError(f())",
        Expected::Fail("KeyError"),
    );
    check(
        "import os\nclass A:\n    def __repr__(self): os._exit(0)\ndef f():\n    return A()",
        "raise KeyError(f())",
        Expected::Fail("exit code 0"),
    );
    check(
        "class A:\n    def __len__(self): return 'long'\ndef f():\n    return A()",
        "len(f())",
        Expected::Fail(""),
    );
    check(
        "class A:\n    def __iter__(self): return 3\ndef f():\n    return A()",
        "list(f())",
        Expected::Fail(""),
    );
    check(
        "class A:\n    def __getattr__(self, name): return self\ndef f():\n    return A()",
        "assert f().a.b.c == 3",
        Expected::Fail(""),
    );
    check(
        "def f():\n    nest = []\n    for _ in range(10 ** 5): nest = [nest]\n    return nest",
        "f()",
        Expected::Fail("RecursionError"),
    );
    check(
        "def f():\n    nest = []\n    nest.append(nest)\n    return nest",
        "nest = f()\nassert nest[0] is nest",
        Expected::Pass,
    );
    check(
        "def f():\n    return '\\udc80\\0'",
        "assert f() == '\\udc80\\0'",
        Expected::Pass,
    );
    check(
        "def f():\n    raise ValueError('\\udc80\\0' + 'x' * 10 ** 6)",
        "f()",
        Expected::Fail("ValueError"),
    );
    check(
        "def f():\n    return 'x' * (129 << 20)",
        "f()",
        Expected::Fail("too long"),
    );
    check("def f():\n    return exit", "f()", Expected::Fail("NameError"));
    check(
        "def f():\n    return print, len, int",
        "assert f() == (print, len, int)",
        Expected::Pass,
    );
    check("f = exec", "assert f('raise SystemExit') == 3", Expected::Fail(""));
    check("f = 3", "f()", Expected::Fail("TypeError"));
    check("def f():\n    raise MemoryError", "f()", Expected::Memory);
}

#[test]
fn large_values_cross() {
    check(
        "def f(x):\n    return x",
        "x = 'x' * (20 << 20)\nassert f(x) == x",
        Expected::Pass,
    );
    check(
        "def f(n):\n    return list(range(n))",
        "assert f(10 ** 5) == list(range(10 ** 5))",
        Expected::Pass,
    );
    check(
        "def f(x):\n    return x + 1",
        "assert f(1 << 10 ** 5) == (1 << 10 ** 5) + 1",
        Expected::Pass,
    );
    check(
        "def f(*rest, **named):\n    return rest, named",
        "assert f(1, 2, a=3) == ((1, 2), {'a': 3})",
        Expected::Pass,
    );
}

/// Unsupported tests are never counted against the program.
#[test]
fn tests_that_cannot_be_run_are_not_failures() {
    let Some(sandbox) = sandbox() else { return };
    let error = |tests: &str| run(sandbox, "def f(x):\n    return x", tests, &unhurried()).unwrap_err();
    assert!(matches!(error("assert f("), SandboxError::Tests { .. }));
    let deep = "x = []\nfor _ in range(600): x = [x]\nf(x)";
    for tests in ["f(object())", "f('x' * (161 << 20))", deep] {
        assert!(matches!(error(tests), SandboxError::Unsupported { .. }), "{tests}");
        // Nor do tests that catch everything turn it into a verdict.
        let caught = format!("try:\n    {}\nexcept:\n    pass", tests.replace('\n', "\n    "));
        assert!(matches!(error(&caught), SandboxError::Unsupported { .. }), "{caught}");
    }
}
