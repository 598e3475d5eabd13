# The protocol between the two interpreters: plain data byte by byte, and handles for everything else. The judge reads
# bytes that a hostile program may have written: nothing here is ever evaluated, and names are looked up only in the
# lists below.
#
# Lists, dicts and sets held by both sides have a handle as well. Only one side runs at a time, so each message begins
# with the changes since the previous one: in-place changes are visible to the other side, and identity is preserved.
import os
import sys

# The original builtins, whatever a program replaces them with later.
from builtins import *  # noqa: F403
from _operator import is_

# Maximum size of a message in bytes. The judge may send longer and deeper ones, so that it can return whatever it has
# received.
LONGEST = 160 << 20
# Recursion depth needed for the deepest value.
ROOM = 5000


class Gone(BaseException):
    """The other side has ended."""


class Garbled(BaseException):
    """The other side violates the protocol."""


class Reader:
    """A read position in a message."""

    def __init__(self, body):
        self.body, self.at, self.depth = body, 0, 0

    def take(self, count):
        self.at += count
        text = self.body[self.at - count : self.at]
        if len(text) != count:
            raise Garbled("a value is cut off")
        return text

    def number(self):
        return int.from_bytes(self.take(4), "little")

    def text(self):
        return self.take(self.number())


class Wire:
    """Frames over one socket. Each side adds the handling of values that are not data (`other`, `read_other`)."""

    first, deepest, longest = 0, 0, LONGEST

    def __init__(self, fd):
        self.fd = fd
        # Everything with a handle. Mirrored objects exist on both sides and have a state; others exist on one side.
        # Where the time of their release by the other side matters, it is counted how often they were sent.
        self.things, self.numbers, self.state, self.sent = {}, {}, {}, {}
        self.added, self.releases = [], []
        self.next = self.first + 2
        # The reference count of an object that only this code holds, determined in actual use.
        self.alone = self.lonely = sys.maxsize
        self.things[0] = []
        self.alone = min(count for _, count in self.counts())
        del self.things[0]
        self.calibrate(("", []))

    def calibrate(self, value):
        self.lonely = None
        self.encode(value, [], True, 0)

    def counts(self):
        return [(number, sys.getrefcount(thing)) for number, thing in self.things.items()]

    # Sending

    def send(self, value):
        limit = sys.getrecursionlimit()
        # A value that may be sent can be written and read however deep the program itself has recursed.
        sys.setrecursionlimit(limit + ROOM)
        try:
            body = self.message(value)
        finally:
            sys.setrecursionlimit(limit)
        del value
        send_frame(self.fd, body)

    def message(self, value):
        self.added, out, states = [], [], {}
        let_go = [number for number, count in self.counts() if count <= self.alone] if self.state else ()
        let_go = [number for number in let_go if number in self.state and self.may_let_go(number)]
        try:
            changed = [(number, parts) for number, parts in self.now() if differ(parts, self.state[number])]
            out.append(word(len(changed)))
            for number, parts in changed:
                out.append(word(number))
                self.extra(self.things[number], out, 0)
                self.items(parts, out, False, 0)
                states[number] = parts
            releases = self.releases + [(number, 0) for number in let_go]
            out.append(word(len(releases)))
            out.extend(word(number) + word(count) for number, count in releases)
            self.encode(value, out, True, 0)
            body = b"".join(out)
            if len(body) > self.longest:
                raise ValueError(f"a value of {len(body)} bytes is too long to be handed over")
        except BaseException:
            # The other side has not received any of it.
            for number in self.added:
                self.forget(number)
            raise
        del self.releases[: len(releases) - len(let_go)]
        self.state.update(states)
        for number in let_go:
            self.forget(number)
        return body

    def may_let_go(self, number):
        return True

    def now(self):
        for number in list(self.state):
            thing = self.things[number]
            yield number, MUTABLE[base_of(thing)][0](thing)

    def forget(self, number):
        thing = self.things.pop(number, None)
        self.numbers.pop(id(thing), None)
        self.state.pop(number, None)
        self.sent.pop(number, None)

    def keep(self, thing, number=None):
        """Assigns a handle to an object, one of this side's or the given one of the other side."""
        if number is None:
            number = self.next
            self.next += 2
            self.added.append(number)
        self.things[number] = thing
        self.numbers[id(thing)] = number
        return number

    def encode(self, value, out, fresh, depth):
        kind = type(value)
        plain = PLAIN.get(kind)
        if plain is not None:
            return plain(value, out)
        if depth > self.deepest:
            raise RecursionError("a value is nested too deep to be handed over")
        number = self.numbers.get(id(value))
        if number is not None and number not in self.sent:
            out.append(b"R" + word(number))
        elif kind is tuple:
            out.append(b"t")
            self.items(value, out, fresh, depth + 1)
        elif kind is frozenset:
            out.append(b"z" + word(value.__sizeof__()))
            self.items(list(value), out, fresh, depth + 1)
        else:
            name = known(kind)
            if name in MUTABLE:
                return self.mutable(value, b"M", name, None, out, fresh, depth)
            parts = FROZEN[name][0](value) if name in FROZEN else None
            if parts is None:
                return self.other(value, kind, out, fresh, depth)
            out.append(b"k")
            sized(name.encode(), out)
            self.encode(parts, out, fresh, depth + 1)

    def mutable(self, value, tag, name, owner, out, fresh, depth):
        """A mutable value. One that nobody else holds is not mirrored: nothing can change it."""
        count = sys.getrefcount(value)
        if self.lonely is None:
            self.lonely = count
        parts = None
        if owner is None and fresh and count <= self.lonely:
            number = 0
        else:
            number, fresh = self.keep(value), False
            parts = self.state[number] = MUTABLE[name][0](value)
        out.append(tag + word(number))
        sized(name.encode(), out)
        if owner is not None:
            self.encode(owner, out, False, depth + 1)
        self.extra(value, out, depth)
        if parts is None and name == "list" and packed(value, out):
            return
        self.items(parts if parts is not None else MUTABLE[name][0](value), out, fresh, depth + 1)

    def extra(self, value, out, depth):
        self.encode(MUTABLE[base_of(value)][1](value), out, False, depth + 1)

    def items(self, parts, out, fresh, depth):
        if type(parts) is bytes:
            out.append(b"b")
            return sized(parts, out)
        if packed(parts, out):
            return
        if type(parts) is not list:
            parts = list(parts)
        out.append(b"*" + word(len(parts)))
        for item in parts:
            self.encode(item, out, fresh, depth)

    # Receiving

    def receive(self):
        body = receive_frame(self.fd)
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + ROOM)
        try:
            return self.read(Reader(body))
        except (Gone, Garbled, MemoryError):
            raise
        except Exception as error:
            raise Garbled(f"{type(error).__name__}: {error}") from None
        finally:
            sys.setrecursionlimit(limit)

    def read(self, reader):
        for _ in range(reader.number()):
            number = reader.number()
            if number not in self.state:
                raise Garbled("a change of something that is not shared")
            thing = self.things[number]
            extra = self.decode(reader)
            parts = self.read_items(reader)
            MUTABLE[base_of(thing)][3](thing, extra, parts)
            self.state[number] = MUTABLE[base_of(thing)][0](thing)
        for _ in range(reader.number()):
            number, count = reader.number(), reader.number()
            self.released(number, count)
        value = self.decode(reader)
        if reader.at != len(reader.body):
            raise Garbled("more than a value")
        return value

    def released(self, number, count):
        if number in self.state:
            self.forget(number)
        elif number in self.sent:
            self.sent[number] -= count
            if self.sent[number] <= 0:
                self.forget(number)

    def decode(self, reader):
        tag = reader.take(1)
        if tag in SINGLE:
            return SINGLE[tag]
        if tag in TEXT:
            return TEXT[tag](reader.text())
        reader.depth += 1
        if reader.depth > 2 * self.deepest + 50:
            raise Garbled("a value is nested too deep")
        try:
            if tag == b"c":
                return complex(self.decode(reader), self.decode(reader))
            if tag == b"t":
                return tuple(self.read_items(reader))
            if tag == b"z":
                size = reader.number()
                return arranged(frozenset, self.read_items(reader), size)
            if tag == b"R":
                return self.resolve(reader.number())
            if tag == b"M":
                number, name = reader.number(), reader.text().decode()
                return self.read_mutable(reader, number, name, None)
            if tag == b"k":
                name = reader.text().decode()
                if name not in FROZEN:
                    raise Garbled("an unknown kind of value")
                return FROZEN[name][1](standard(name), self.decode(reader))
            return self.read_other(tag, reader)
        finally:
            reader.depth -= 1

    def read_mutable(self, reader, number, name, owner):
        if name not in MUTABLE or number in self.things:
            raise Garbled("a value that cannot be")
        _, _, make, fill = MUTABLE[name]
        extra = self.decode(reader)
        thing = make(standard(name), extra) if owner is None else owner(number)
        if number:
            # A self-referential value mentions its handle among its parts.
            self.keep(thing, number)
            self.state[number] = []
        fill(thing, extra, self.read_items(reader))
        if number:
            self.state[number] = MUTABLE[name][0](thing)
        return thing

    def read_items(self, reader):
        tag = reader.take(1)
        if tag == b"*":
            return [self.decode(reader) for _ in range(reader.number())]
        if tag == b"b":
            return reader.text()
        if tag in (b"q", b"d"):
            numbers = standard("array.array")(tag.decode())
            numbers.frombytes(memoryview(reader.body)[reader.at + 4 : reader.at + 4 + 8 * reader.number()])
            reader.take(8 * len(numbers))
            return numbers.tolist()
        raise Garbled("an unknown kind of value")

    def resolve(self, number):
        if number not in self.things:
            raise Garbled("a number that stands for nothing")
        return self.things[number]


def word(number):
    return number.to_bytes(4, "little")


def sized(text, out):
    out.append(len(text).to_bytes(4, "little"))
    out.append(text)


def differ(parts, before):
    if type(parts) is bytes:
        return parts != before
    return len(parts) != len(before) or not all(map(is_, parts, before))


def packed(parts, out):
    """Many consecutive integers or floats, which would be slow one by one."""
    if len(parts) < 32:
        return False
    kinds = set(map(type, parts))
    if kinds != {int} and kinds != {float}:
        return False
    code = "q" if kinds == {int} else "d"
    try:
        body = standard("array.array")(code, parts)
    except OverflowError:
        return False
    out.append(code.encode() + word(len(body)))
    out.append(memoryview(body).cast("B"))
    return True


def send_frame(fd, body):
    if len(body) < 65536:
        rest = memoryview(len(body).to_bytes(4, "little") + body)
        pieces = [rest]
    else:
        pieces = [memoryview(len(body).to_bytes(4, "little")), memoryview(body)]
    for rest in pieces:
        while rest:
            try:
                rest = rest[os.write(fd, rest) :]
            except (BrokenPipeError, ConnectionResetError):
                raise Gone from None


def receive_frame(fd):
    size = int.from_bytes(receive_bytes(fd, 4), "little")
    if size > LONGEST:
        raise Garbled(f"a message of {size} bytes")
    return receive_bytes(fd, size)


def receive_bytes(fd, count):
    parts = []
    while count:
        try:
            part = os.read(fd, min(count, 1 << 20))
        except ConnectionResetError:
            part = b""
        if not part:
            raise Gone
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
