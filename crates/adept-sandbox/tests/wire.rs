//! What the two interpreters say to each other: values cross unchanged and with their types, and bytes that a hostile
//! program may write are either a value or refused, never an exception that the reader does not expect.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stderr, reason = "a skipped test has to say so")]

use std::process::{Command, Stdio};

const WIRE: &str = include_str!("../src/python/wire.py");

/// Runs Python behind the wire's own text, outside of any sandbox: all of it is ours.
#[track_caller]
fn python(text: &str) {
    let command = Command::new("python3")
        .args(["-I", "-S", "-B", "-c", &format!("{WIRE}\n{text}")])
        .stdin(Stdio::null())
        .output();
    match command {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", output.status);
        }
        Err(error) => eprintln!("skipped: python3: {error}"),
    }
}

const ENDS: &str = "import collections, datetime, decimal, fractions, socket
here, there = socket.socketpair()
shared = []
def export(value):
    shared.append(value)
    return len(shared) - 1
wire = Wire(here.fileno(), export, lambda number: ('handle', number))
other = Wire(there.fileno(), export, lambda number: ('handle', number))
def crossed(value):
    wire.send(value)
    return other.receive()
def same(left, right):
    return type(left) is type(right) and repr(left) == repr(right)
";

/// Checks that each value comes out as it went in, of the same type.
#[track_caller]
fn check_crosses(values: &str) {
    python(&format!(
        "{ENDS}\nfor value in [{values}]:\n    assert same(crossed(value), value), value"
    ));
}

/// Checks what a value comes out as.
#[track_caller]
fn check_becomes(before: &str, value: &str, wanted: &str) {
    python(&format!(
        "{ENDS}\n{before}\ngot = crossed({value})\nassert same(got, {wanted}), got"
    ));
}

/// Checks that each body is refused as one that makes no sense.
#[track_caller]
fn check_garbled(bodies: &str) {
    python(&format!(
        "{ENDS}\nfor body in [{bodies}]:
    send_frame(here.fileno(), body)
    try:
        got = other.receive()
    except Garbled:
        continue
    raise AssertionError((body, got))"
    ));
}

#[test]
fn plain_values_cross() {
    check_crosses("None, True, False, Ellipsis, 0, -1, 255, 10 ** 50, -(10 ** 50), 1 << 10000");
    check_crosses("0.0, -0.0, 0.1, 1e308, 5e-324, float('inf'), float('-inf'), float('nan'), 1 + 2j, complex('-0-0j')");
    check_crosses("'', 'text', 'ä€𝄞', '\\0\\n', '\\udc80', b'', b'\\0\\xff', bytearray(b'abc')");
    check_crosses("[], [1, [2, [3]]], (), (1,), {}, {1: 'a', (2, 3): [4]}, set(), {1}, frozenset(), frozenset({1})");
    check_crosses("range(5), range(5, 1, -2), {1: 2}.keys(), {1: 2}.items(), print, int, len");
    check_crosses("collections.deque([1, 2], 3), collections.OrderedDict(a=1), collections.Counter('aab')");
    check_crosses("decimal.Decimal('1.50'), decimal.Decimal('NaN'), fractions.Fraction(-1, 3)");
    check_crosses("datetime.date(2024, 2, 29), datetime.datetime(2024, 1, 2, 3, 4, 5, 6), datetime.time(1, 2)");
    check_crosses("datetime.timedelta(1, 2, 3)");
}

#[test]
fn order_is_kept() {
    check_crosses("{2: 1, 1: 2}, collections.OrderedDict([(2, 1), (1, 2)])");
    check_crosses("list(range(10000)), 'x' * 100000");
}

#[test]
fn what_is_no_data_crosses_as_a_number() {
    check_becomes("", "object()", "('handle', 0)");
    check_becomes("", "[object(), lambda: 3]", "[('handle', 0), ('handle', 1)]");
    check_becomes(
        "",
        "datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)",
        "('handle', 0)",
    );
    // It has a builtin's name, and is none.
    check_becomes("def print(): pass", "print", "('handle', 0)");
    check_becomes("fake = type('int', (), {})", "fake", "('handle', 0)");
}

#[test]
fn subclasses_cross_as_the_data_in_them() {
    let liars = "class Liar:
    def __getattribute__(self, name): raise SystemExit
    def __iter__(self): raise SystemExit
    def __len__(self): raise SystemExit
    def __index__(self): raise SystemExit
    def __repr__(self): raise SystemExit
    def __str__(self): raise SystemExit
    def encode(self, *rest): raise SystemExit
class I(Liar, int): pass
class F(Liar, float): pass
class C(Liar, complex): pass
class S(Liar, str): pass
class B(Liar, bytes): pass
class L(Liar, list): pass
class T(Liar, tuple): pass
class D(Liar, dict): pass
class Z(Liar, frozenset): pass";
    check_becomes(liars, "I(3)", "3");
    check_becomes(liars, "F(0.5)", "0.5");
    check_becomes(liars, "C(1, 2)", "1 + 2j");
    check_becomes(liars, "S('a')", "'a'");
    check_becomes(liars, "B(b'a')", "b'a'");
    check_becomes(liars, "L([1])", "[1]");
    check_becomes(liars, "T([1])", "(1,)");
    check_becomes(liars, "D({1: 2})", "{1: 2}");
    check_becomes(liars, "Z([1])", "frozenset([1])");
}

#[test]
fn bytes_that_are_no_value_are_refused() {
    check_garbled(r"b'', b'?', b'P', b'NN', b'i', b'i\1\0\0\0', b'i\1\0\0\0x', b'd\1\0\0\0x', b's\1\0\0\0\xff'");
    check_garbled(r"b's\xff\xff\xff\xffa', b'l\xff\xff\xff\xffN', b'l\2\0\0\0N', b'm\1\0\0\0N', b'cNN', b'h\0\0'");
    // Keys and members that have no hash.
    check_garbled(r"b'S\1\0\0\0l\0\0\0\0', b'm\1\0\0\0l\0\0\0\0N'");
    // Names that are not on the list, and parts that do not fit.
    check_garbled(r"b'n\x04\0\0\0Noneeeee', b'n\x0a\0\0\0__import__', b'n\x02\0\0\0os', b'k\x09\0\0\0os.systemN'");
    check_garbled(r"b'k\x05\0\0\0rangeN', b'k\x05\0\0\0ranget\1\0\0\0N', b'k\x11\0\0\0collections.dequei\1\0\0\x001'");
    check_garbled(r"b'k\x0f\0\0\0collections.abcN', b'k\x0f\0\0\0decimal.DecimalN', b'k\x01\0\0\0.N', b'k\0\0\0\0N'");
    // A value that is deeper than the interpreter can go.
    check_garbled(r"b'l\1\0\0\0' * 10000");
}

/// Whatever one byte of a message is changed to, the reader gets a value or refuses.
#[test]
fn no_byte_brings_the_reader_down() {
    python(&format!(
        "{ENDS}
value = (1, 'two', [3.5, None], {{4: b'five'}}, {{6}}, range(7), decimal.Decimal(8), print, 9j, object())
out = []
wire.encode(value, out)
body = b''.join(out)
read = refused = 0
for place in range(len(body)):
    for byte in range(0, 256, 5):
        changed = body[:place] + bytes([byte]) + body[place + 1:]
        send_frame(here.fileno(), changed)
        try:
            other.receive()
            read += 1
        except Garbled:
            refused += 1
assert read and refused"
    ));
}

#[test]
fn lengths_and_ends_are_noticed() {
    python(&format!(
        "{ENDS}
os.write(here.fileno(), (LONGEST + 1).to_bytes(4, 'little'))
try:
    other.receive()
    raise AssertionError
except Garbled:
    pass
try:
    wire.send('x' * (LONGEST + 1))
    raise AssertionError
except ValueError:
    pass
os.write(here.fileno(), b'\\5\\0\\0\\0N')
here.close()
try:
    other.receive()
    raise AssertionError
except Gone:
    pass
try:
    other.send(None)
    other.send(None)
    raise AssertionError
except Gone:
    pass"
    ));
}
