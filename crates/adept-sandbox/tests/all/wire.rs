//! The protocol between the interpreters: values keep their content and type, and bytes written by a hostile program
//! are either decoded or rejected, never an unexpected exception in the reader.

use std::process::{Command, Stdio};

const WIRE: &str = concat!(
    include_str!("../../src/python/wire.py"),
    "\n",
    include_str!("../../src/python/kinds.py")
);
const JUDGE: &str = concat!(
    include_str!("../../src/python/remote.py"),
    "\n",
    include_str!("../../src/python/judge.py")
);

/// Runs our own Python code, appended to the wire's, outside of any sandbox.
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

/// Two ends of a wire that transfers everything but data as a handle.
const ENDS: &str = "import collections, datetime, decimal, fractions, array, uuid, socket
here, there = socket.socketpair()
class End(Wire):
    first, deepest = 0, 500
    def other(self, value, kind, out, fresh, depth): out.append(b'h' + word(self.keep(value)))
    def read_other(self, tag, reader):
        if tag != b'h': raise Garbled('an unknown kind of value')
        return ('handle', reader.number())
class Far(End):
    first = 1
wire, other = End(here.fileno()), Far(there.fileno())
def crossed(value):
    wire.send(value)
    return other.receive()
def back(value):
    other.send(value)
    return wire.receive()
def same(left, right):
    return type(left) is type(right) and repr(left) == repr(right)
";

/// The part of a message before its value: no changes, no released handles.
const NOTHING: &str = "bytes(8)";

/// The judge's end of a wire, into which anything can be written.
#[track_caller]
fn judge(text: &str) {
    let judge = JUDGE.strip_suffix("\nmain()\n").unwrap();
    python(&format!(
        "{judge}
import socket
here, there = socket.socketpair()
court = wire = Court(here.fileno())
def sized_text(text): return len(text).to_bytes(4, 'little') + text
def name(text): return b'n' + sized_text(text.encode())
def items(*parts): return b'*' + word(len(parts)) + b''.join(parts)
def number(value): return b'i' + sized_text(b'%x' % value)
def text(value): return b's' + sized_text(value.encode())
def texts(*values): return b'M' + word(0) + sized_text(b'list') + b'N' + items(*map(text, values))
def kind(place, name, bases=b'', specials=(), hidden=(), base=b'N', names=()):
    bases = b'M' + word(0) + sized_text(b'list') + b'N' + items(*([bases] if bases else []))
    return b'C' + word(place) + b't' + items(text(name), text('m'), bases, texts(*specials), texts(*hidden), base, b'F', texts(*names))
def read(body, changes=b'', letting_go=b''):
    send_frame(there.fileno(), (changes or word(0)) + (letting_go or word(0)) + body)
    return court.receive()
def refuses(body, **more):
    try: got = read(body, **more)
    except Garbled: return
    raise AssertionError((body, got))
{text}"
    ));
}

/// Checks that each value arrives unchanged, with the same type.
#[track_caller]
fn check_crosses(values: &str) {
    python(&format!(
        "{ENDS}\nfor value in [{values}]:\n    assert same(crossed(value), value), value"
    ));
}

/// Checks what a value arrives as.
#[track_caller]
fn check_becomes(before: &str, value: &str, wanted: &str) {
    python(&format!(
        "{ENDS}\n{before}\ngot = crossed({value})\nassert same(got, {wanted}), got"
    ));
}

/// Checks that each body is rejected as garbled.
#[track_caller]
fn check_garbled(bodies: &str) {
    python(&format!(
        "{ENDS}\nfor body in [{bodies}]:
    send_frame(here.fileno(), {NOTHING} + body)
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
    check_crosses(
        "range(5), range(5, 1, -2), {1: 2}.keys(), {1: 2}.items(), {1: 2}.values(), slice(1, 2), NotImplemented",
    );
    check_crosses("collections.deque([1, 2], 3), collections.OrderedDict(a=1), collections.Counter('aab')");
    check_crosses("decimal.Decimal('1.50'), decimal.Decimal('NaN'), fractions.Fraction(-1, 3)");
    check_crosses("datetime.date(2024, 2, 29), datetime.datetime(2024, 1, 2, 3, 4, 5, 6), datetime.time(1, 2)");
    check_crosses("datetime.timedelta(1, 2, 3), datetime.timezone(datetime.timedelta(hours=1), 'X'), uuid.UUID(int=7)");
    check_crosses("datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc), collections.defaultdict(None, {1: 2})");
    check_crosses(
        "array.array('i', [1, 2]), array.array('d', [0.5]), list(range(99)), [0.5] * 99, [True] * 99, [1 << 70] * 99",
    );
}

#[test]
fn order_is_kept() {
    check_crosses("{2: 1, 1: 2}, collections.OrderedDict([(2, 1), (1, 2)])");
    check_crosses("list(range(10000)), 'x' * 100000");
}

#[test]
fn what_is_no_data_crosses_as_a_number() {
    check_becomes("", "object()", "('handle', 2)");
    check_becomes("", "[object(), lambda: 3]", "[('handle', 2), ('handle', 4)]");
    check_becomes("", "[print, exec, vars, type]", "[('handle', n) for n in (2, 4, 6, 8)]");
    // They have the names of data types, but are not.
    check_becomes(
        "fake = type('int', (int,), {'__module__': 'builtins'})",
        "fake(3)",
        "('handle', 2)",
    );
    check_becomes(
        "fake = type('Counter', (dict,), {'__module__': 'collections'})",
        "fake(a=1)",
        "('handle', 2)",
    );
}

/// An object held by both sides remains one object, and changes to it are transmitted.
#[test]
fn what_is_shared_is_told_of_again_when_it_has_changed() {
    python(&format!(
        "{ENDS}
mine, inner, s, b = {{'a': [1]}}, [2], {{1}}, bytearray(b'x')
mine['b'] = inner
kept = (mine, inner, s, b)
theirs = crossed((mine, inner, s, b))
assert theirs[0]['b'] is theirs[1]
mine['c'] = inner
inner.append(3)
s.add(9)
b.extend(b'y')
assert crossed('next') == 'next'
assert theirs == ({{'a': [1], 'b': [2, 3], 'c': [2, 3]}}, [2, 3], {{1, 9}}, b'xy') and theirs[0]['c'] is theirs[1]
theirs[1].clear()
del theirs[0]['a']
assert back(theirs[0]) is mine and inner == [] and list(mine) == ['b', 'c'] and mine['c'] is inner
# What only one side holds is let go of, and told of whole the next time.
before = len(wire.things)
del theirs
back(None), crossed(None)
assert len(wire.things) < before and len(other.things) < before, (wire.things, other.things)
again = crossed(kept)
assert again == kept
# What nobody holds is not shared in the first place.
count = len(wire.things)
crossed([[1], {{2: [3]}}])
assert len(wire.things) == count"
    ));
}

#[test]
fn bytes_that_are_no_value_are_refused() {
    check_garbled(r"b'?', b'P', b'NN', b'i', b'i\1\0\0\0', b'i\1\0\0\0x', b'd\1\0\0\0x', b's\1\0\0\0\xff'");
    check_garbled(
        r"b's\xff\xff\xff\xffa', b't', b't*\xff\xff\xff\xffN', b't*\2\0\0\0N', b'cNN', b'h\0\0', b'tq\2\0\0\0abc'",
    );
    // Unhashable keys and members; references to nothing.
    check_garbled(r"b'z\0\0\0\0*\1\0\0\0M\0\0\0\0\4\0\0\0listN*\0\0\0\0', b'R\7\0\0\0', b'R\0\0\0\0'");
    // Names that are not on the list, and invalid arguments.
    check_garbled(r"b'k\x09\0\0\0os.systemN', b'M\0\0\0\0\x09\0\0\0os.systemN*\0\0\0\0', b'k\0\0\0\0N'");
    check_garbled(r"b'k\x05\0\0\0rangeN', b'k\x05\0\0\0ranget*\1\0\0\0N', b'k\x0f\0\0\0decimal.DecimalN'");
    check_garbled(r"b'M\0\0\0\0\x11\0\0\0collections.dequei\1\0\0\x001N', b'M\0\0\0\0\4\0\0\0dictN*\1\0\0\0N'");
    check_garbled(r"b'k\x11\0\0\0zoneinfo.ZoneInfot*\1\0\0\0s\x09\0\0\0../passwd'");
    // A value nested more deeply than the interpreter can handle.
    check_garbled(r"b't*\1\0\0\0' * 10000");
}

/// The other side's messages cannot refer to anything in the judge that is not on a list.
#[test]
fn names_in_answers_are_those_of_data_and_exceptions() {
    judge(
        "for known in ('int', 'list', 'NoneType', 'ValueError', 'collections.deque', 'json.decoder.JSONDecodeError'):
    assert isinstance(read(name(known)), type)
for unknown in ('exec', 'eval', 'vars', 'type', 'open', 'print', 'super', 'property', '__import__', 'os', 'os.system',
                'builtins.exec', 'sys.modules', '', '.', 'collections.abc.Callable', 'json.decoder.json', 'Court'):
    refuses(name(unknown))
refuses(b'x' + sized_text(b'int') + b't' + items() + b'M' + word(0) + sized_text(b'dict') + b'N' + items() + b'N')",
    );
}

/// A class of the other side has our methods, whatever it claims to have.
#[test]
fn stand_ins_are_inert() {
    judge(
        "made = read(b'h' + word(5) + kind(3, 'A', specials=['__len__', '__init__', '__getattribute__', '__del__', '__eq__', '__class__']) + b'N')
assert type(made).__name__ == 'A' and set(type(made).__dict__) >= {'__len__', '__eq__'}
assert '__init__' not in type(made).__dict__ and type(made).__dict__['__del__'] is dropped
assert isinstance(made, Remote) and type(type(made)) is RemoteClass and not isinstance(made, int)
# Numbers that are taken, or ours; bases, names and data that cannot be.
refuses(kind(3, 'B')), refuses(kind(4, 'B')), refuses(kind(7, 'B', bases=number(3))), refuses(kind(9, 'B\0'))
refuses(kind(11, 'B', hidden=['__class__'], base=text('int'))), refuses(kind(13, 'B') + b'N')
integer = kind(15, 'I', bases=name('int'), base=text('int'))
assert read(b'v' + word(17) + integer + text('int') + number(42)) == 42
refuses(b'v' + word(19) + b'R' + word(15) + text('int') + text('42'))
refuses(b'v' + word(21) + b'R' + word(15) + text('str') + text('42'))
refuses(b'v' + word(23) + b'R' + word(3) + text('int') + number(42))
refuses(b'X' + word(25) + b'R' + word(3) + b't' + items() + b'N'), refuses(b'h' + word(27) + name('int') + b'N'), refuses(b'h' + word(29) + b'NN')
error = read(b'X' + word(31) + kind(33, 'E', bases=name('ValueError')) + b't' + items(number(1)) + b'N')
assert isinstance(error, ValueError) and error.args == (1,)",
    );
}

/// The other side may change what it shares with the tests and use what they have passed to it, and nothing else.
#[test]
fn nothing_else_of_the_tests_is_in_reach() {
    judge(
        "listed, function, iterator = [1], lambda x: x, iter([7])
court.send((listed, function, iterator, ValueError()))
numbers = {type(thing).__name__: place for place, thing in court.things.items()}
assert sorted(numbers) == ['ValueError', 'function', 'list', 'list_iterator'] and len(court.things) == 4
change = lambda place: word(1) + word(place) + b'N' + items(number(5))
assert read(b'N', changes=change(numbers['list'])) is None and listed == [5]
for place in (0, 1, 99, numbers['function'], numbers['list_iterator'], numbers['ValueError']):
    refuses(b'N', changes=change(place))
sent = []
court.send = sent.append
serve('call', numbers['function'], ((3,), {})), serve('next', numbers['list_iterator'], ()), serve('next', numbers['list_iterator'], ())
assert sent == [('value', 3), ('value', 7), ('stopped', None)], sent
for asked in (('call', numbers['list'], ((), {})), ('next', numbers['function'], ()), ('getattr', numbers['function'], ('__globals__',)),
              ('call', 99, ((), {})), ('call', numbers['ValueError'], ((), {})), ('call', numbers['function'], ((), [])),
              ('call', [], ()), ('get', 'tell', ()), ('next', numbers['list_iterator'], (1,))):
    try: serve(*asked)
    except Garbled: continue
    raise AssertionError(asked)",
    );
}

/// Whatever single byte of a message is changed, the reader decodes a value or rejects the message.
#[test]
fn no_byte_brings_the_reader_down() {
    python(&format!(
        "{ENDS}
value = (1, 'two', [3.5, None], {{4: b'five'}}, {{6}}, range(7), decimal.Decimal(8), print, 9j, object(), list(range(40)))
out = []
wire.encode(value, out, True, 0)
body = b''.join(out)
read = refused = 0
for place in range(len(body)):
    for byte in range(0, 256, 5):
        changed = body[:place] + bytes([byte]) + body[place + 1:]
        send_frame(here.fileno(), {NOTHING} + changed)
        other = Far(there.fileno())
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
    wire.send('x' * LONGEST)
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
