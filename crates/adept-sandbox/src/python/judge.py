# The trusted side: runs the tests, requests the solution's answers from the other side, and reports the result to the
# parent. No line of the solution ever runs here.
from _thread import RLock
from _weakref import ref


class Unsupported(BaseException):
    """The tests do something that is not possible across two interpreters."""


class Stopped(RuntimeError):
    """A StopIteration raised by a call, which would silently end a loop of the tests around it."""


class Final:
    """The result of the run, whatever the tests do about it: they may catch every exception."""

    verdict = None
    # The solution's last exception, and what the other side said about it.
    error = said = None
    # A file that the tests have used; the names in their text; whether a message is in progress.
    files, names, busy = None, frozenset(), False


def final(kind, text):
    if Final.verdict is None:
        Final.verdict = kind, text


def unsupported(reason):
    final(b"U", reason)
    return Unsupported(reason)


def of_type(kind, value):
    if type(value) is not kind:
        raise Garbled(f"{kind.__name__} was asked for, {type(value).__name__} came")
    return value


METHOD = type(Reader(b"").take)
# Modules of iterators without any further interface.
ITERATORS = {"builtins", "itertools", "_collections", "collections"}
CALLABLE = {"functools.partial", "operator.itemgetter", "operator.attrgetter", "operator.methodcaller"}


class Court(Wire):
    """The judge's end of the wire."""

    first, deepest = 0, 500

    def __init__(self, fd):
        self.live, self.received = {}, {}
        # What the other side may call, and the iterators that it may advance: nothing else is done here at its request.
        self.callable, self.iterable = set(), set()
        super().__init__(fd)

    # Sending

    def other(self, value, kind, out, fresh, depth):
        if kind is RemoteClass or type(kind) is RemoteClass:
            number = RemoteClass.numbers.get(value) if kind is RemoteClass else own(value).get("number")
            if number is None:
                raise unsupported(f"a {kind.__name__} that the tests have made themselves is handed to the program")
            out.append(b"R" + word(number))
        elif id(value) in RELAYS:
            out.append(b"R" + word(RELAYS[id(value)][1]))
        elif kind.__name__ == "traceback" and kind.__module__ == "builtins":
            # Where in the tests an exception came from must not be revealed to the program.
            out.append(b"N")
        elif path_of(value, kind):
            out.append(b"n")
            sized(path_of(value, kind).encode(), out)
        elif kind in (FUNCTION, METHOD, BUILTIN) or f"{kind.__module__}.{kind.__name__}" in CALLABLE:
            number = self.keep(value)
            self.callable.add(number)
            out.append(b"u" + word(number))
            self.encode(signature(value), out, True, depth + 1)
        elif issubclass(kind, BaseException):
            number = self.keep(value)
            nearest = next(known for known in kind.__mro__ if path_of(known, type))
            out.append(b"x" + word(number))
            self.encode((path_of(nearest, type), kind.__name__, value.args), out, True, depth + 1)
        elif kind.__module__ in ITERATORS and hasattr(kind, "__next__"):
            number = self.keep(value)
            self.iterable.add(number)
            out.append(b"I" + word(number))
            self.encode(kind.__name__ == "generator", out, False, depth + 1)
        else:
            raise unsupported(f"a value of type {kind.__name__} cannot be handed to the program")

    # Receiving

    def resolve(self, number):
        thing = self.things.get(number)
        if thing is None:
            raise Garbled("a number that stands for nothing")
        return thing

    def read_other(self, tag, reader):
        if tag == b"n":
            return named(reader.text().decode())
        if tag == b"x":
            kind = named(reader.text().decode())
            if not issubclass(kind, BaseException):
                raise Garbled("no exception")
            return make_failure(kind, self.decode(reader), self.decode(reader), self.decode(reader))
        number = reader.number()
        if not number % 2 or number in self.things:
            raise Garbled("a number that is taken")
        if tag == b"C":
            about = of_type(tuple, self.decode(reader))
            kind = make_class(number, about)
            return self.things[self.keep(kind, number)]
        if tag == b"g":
            return self.relayed(number, generator)
        if tag == b"w":
            return self.relayed(number, coroutine)
        name = reader.text().decode() if tag == b"V" else None
        kind = self.decode(reader)
        if type(kind) is not RemoteClass:
            raise Garbled("no class")
        if tag == b"h":
            return self.stand_in(number, kind, self.decode(reader))
        if tag == b"v":
            return make_bare(kind, number, self.decode(reader), self.decode(reader))
        if tag == b"V":
            return self.read_mutable(reader, number, name, lambda number: self.facade(kind, number))
        if tag == b"X" and issubclass(kind, BaseException):
            error = make_failure(kind, self.decode(reader), {}, self.decode(reader))
            own(error)["number"] = number
            return error
        raise Garbled("an unknown kind of value")

    def facade(self, kind, number):
        builtin = next((known for known in (list, dict, set, bytearray) if issubclass(kind, known)), None)
        if builtin is None:
            raise Garbled("data of another kind")
        thing = builtin.__new__(kind)
        own(thing)["number"] = number
        return thing

    def stand_in(self, number, kind, path):
        thing = self.live.get(number, lambda: None)()
        if thing is None:
            if not issubclass(kind, Remote):
                raise Garbled("no object")
            thing = object.__new__(kind)
            own(thing).update(number=number, path=path if type(path) is str else None)
            self.live[number] = ref(thing)
        self.received[number] = self.received.get(number, 0) + 1
        return thing

    def relayed(self, number, make):
        thing = self.live.get(number, lambda: None)()
        if thing is None:
            remote = object.__new__(Remote)
            own(remote)["number"] = number
            thing = make(remote)
            place = id(thing)
            self.live[number] = ref(thing, lambda _: self.dropped_relay(place, number))
            RELAYS[place] = self.live[number], number
        self.received[number] = self.received.get(number, 0) + 1
        return thing

    def dropped_relay(self, place, number):
        RELAYS.pop(place, None)
        self.drop(number, None)

    def drop(self, number, thing):
        """Called when the tests no longer hold a proxy."""
        if number in self.state:
            return
        if thing is not None and not isinstance(thing, Remote):
            self.releases.append((number, 1))
            return
        alive = self.live.get(number, lambda: None)()
        if number in self.received and (alive is None or alive is thing):
            self.live.pop(number, None)
            self.releases.append((number, self.received.pop(number)))


def named(name):
    """Resolves a class of the interpreter or its library: data types and exceptions only."""
    if name in DATA or name in ERRORS:
        return standard(name)
    kind = BUILTINS.get(name)
    if isinstance(kind, type) and issubclass(kind, BaseException):
        return kind
    raise Garbled("an unknown name")


def signature(value):
    """What a function of the tests reveals about itself: its name and parameters."""
    name, code = getattr(value, "__name__", "function"), getattr(value, "__code__", None)
    if type(value) is not FUNCTION:
        return name, None
    kinds = code.co_posonlyargcount, code.co_argcount, code.co_kwonlyargcount, code.co_flags & 12
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
    defaults = len(value.__defaults__ or ()), list(value.__kwdefaults__ or ())
    return name, (*kinds, list(code.co_varnames[:count]), *defaults)


lock = RLock()
parent, player = os.dup(0), os.dup(1)
wire = Court(player)
# What the tests may replace, which the other side would not see.
PLACES = [(sys.modules["builtins"], name) for name in ("input", "print", "open")] + [(sys, "stdin")]
AS_IT_WAS = []


def ask(what, *parts):
    with lock:
        try:
            return answer_to(what, parts)
        except Gone:
            final(b"G", "")
            raise
        except Garbled as error:
            final(b"F", f"the program's answers make no sense: {error}")
            raise


def answer_to(what, parts):
    if Final.verdict is not None:
        raise Unsupported
    for (place, name), before in zip(PLACES, AS_IT_WAS):
        if getattr(place, name) is not before:
            raise unsupported(f"the tests put something else in place of `{name}`, which the program does not see")
    captured = bool(AS_IT_WAS) and sys.stdout is not AS_IT_WAS[-1]
    try:
        Final.busy = True
        wire.send((what, captured, dice(), parts))
    except (ValueError, OverflowError, RecursionError, RuntimeError) as error:
        # A value passed by the tests is too long or too deep, which says nothing about the program.
        raise unsupported(f"{type(error).__name__}: {error}") from None
    finally:
        Final.busy = False
    while True:
        answer = listen()
        if type(answer) is not tuple or len(answer) < 4 or type(answer[0]) is not str:
            raise Garbled("no answer")
        if answer[0] != "ask":
            break
        serve(*answer[1:4])
    status, printed, lost, thrown, *rest = answer
    if of_type(str, lost) and not MISPLACED:
        MISPLACED.append(lost)
    if captured:
        sys.stdout.write(of_type(str, printed))
    if thrown is not None and Dice.used:
        dice(thrown)
    if status == "none" and what == "get":
        raise LookupError
    if len(rest) == 1:
        if status == "value":
            return rest[0]
        if status == "same" and what == "call" and rest[0] in range(len(parts[1])):
            return parts[1][of_type(int, rest[0])]
        if status == "stopped" and what in ("next", "send", "throw", "special"):
            raise StopIteration(rest[0])
        if status == "syntax" and what == "compile":
            raise SyntaxError(of_type(str, rest[0]))
    if status == "raised" and len(rest) == 2 and isinstance(rest[0], BaseException):
        raise raised(what, rest[0], of_type(str, rest[1]))
    raise Garbled("no answer")


def raised(what, error, said):
    stops = isinstance(error, StopIteration) or isinstance(error, StopAsyncIteration) and what != "await"
    if stops:
        if "StopIteration" in Final.names or "StopAsyncIteration" in Final.names:
            return unsupported("a StopIteration out of a call, which would also end a loop of the tests")
        error = Stopped(*error.args)
    if type(error) is RuntimeError and error.args == ("can't start new thread",):
        return unsupported("the program starts more threads than the sandbox lets it have")
    Final.error, Final.said = error, said
    return error


def listen():
    Final.busy = True
    try:
        return wire.receive()
    finally:
        Final.busy = False


def serve(what, number, rest):
    """Serves a request that the other side makes while it answers: to call a function that the tests have passed to it,
    or to advance one of their iterators. That is done with data, and nothing else is done."""
    of_type(str, what), of_type(int, number), of_type(tuple, rest)
    if what == "call" and number in wire.callable and len(rest) == 2:
        arguments, named_ones = of_type(tuple, rest[0]), of_type(dict, rest[1])
    elif what != "next" or number not in wire.iterable or rest:
        raise Garbled("a question that is not answered here")
    try:
        if what == "call":
            answer = "value", wire.things[number](*arguments, **named_ones)
        else:
            answer = "value", next(wire.things[number])
    except (Gone, Garbled, Unsupported):
        raise
    except StopIteration as stop:
        answer = ("stopped", stop.value) if what == "next" else ("raised", stop)
    except BaseException as error:
        answer = "raised", error
    try:
        wire.send(answer)
    except (ValueError, OverflowError, RecursionError) as error:
        raise unsupported(f"{type(error).__name__}: {error}") from None


class Dice:
    used = False


def dice(thrown=None):
    """The state of `random`, if the tests have seeded it: it is then shared by both sides."""
    if not Dice.used or "random" not in sys.modules:
        return None
    random = sys.modules["random"]
    if thrown is not None:
        try:
            random.setstate(thrown)
        except (TypeError, ValueError):
            raise Garbled("no state of random") from None
    return random.getstate()


def watch(event, arguments):
    """Records that the tests use a file of their own: the program has others."""
    if event in FILES and Final.files is None and arguments and type(arguments[0]) in (str, bytes):
        path = os.fsdecode(arguments[0])
        if not path.startswith(LIBRARY) and not path.startswith("/dev/"):
            Final.files = path


FILES = {"open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename"}
LIBRARY = tuple({sys.prefix, sys.base_prefix, sys.exec_prefix, "/usr/lib", "/usr/share"})


def judge(solution, tests, names):
    try:
        code = compile(tests, "<tests>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        return b"T", f"{type(error).__name__}: {error}"
    Final.names = mentioned(code)
    Dice.used = "seed" in Final.names
    space = {"__name__": "tests", "__builtins__": sys.modules["builtins"]}
    if "isinstance" in Final.names:
        space["isinstance"] = is_instance
    verdict = run(code, tests, space, solution, names)
    if Final.verdict is not None:
        return Final.verdict
    if MISPLACED and verdict[0] in b"PF":
        return b"U", f"{MISPLACED[0]} is another in the program"
    if Final.files is not None and verdict[0] == b"F":
        return b"U", f"the tests use the file {Final.files}, and the program has files of its own; {verdict[1]}"
    return verdict


def mentioned(code):
    """All names that occur in a code object."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if type(constant) is type(code):
            names |= mentioned(constant)
    return names


def run(code, tests, space, solution, names):
    try:
        try:
            ask("compile", solution)
        except SyntaxError as error:
            return b"S", error.msg
        ask("load")
        for name in names:
            try:
                space[name] = ask("get", name)
            except LookupError as error:
                if error is Final.error:
                    raise
        AS_IT_WAS.extend(getattr(place, name) for place, name in PLACES)
        AS_IT_WAS.append(sys.stdout)
        sys.addaudithook(watch)
        exec(code, space)
        return b"P", ""
    except MemoryError:
        return b"M", ""
    except BaseException as error:
        return failure(error, tests)


def failure(error, tests):
    """The verdict on an exception of the tests. Its text can contain values of the program's that fail to print: a
    number with too many digits, or an object that exits when asked for its name. It is a failure all the same."""
    try:
        return b"F", described(error, tests)
    except MemoryError:
        return b"M", ""
    except BaseException:
        return b"F", f"{type(error).__name__} (it cannot be printed)"


def described(error, tests):
    """The exception as text, with the line of the tests that raised it."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<tests>":
            line = trace.tb_lineno
        trace = trace.tb_next
    text = Final.said if error is Final.error else None
    if text is None:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    elif not isinstance(error, Exception):
        text = f"the program tried to end: {text}"
    lines = tests.splitlines()
    if line is None or line > len(lines):
        return text
    return f"{text} [{lines[line - 1].strip()}]"


def tell(kind, text=""):
    send_frame(parent, kind + text.encode("utf-8", "replace")[:4000])


def main():
    sys.path[:] = [folder for folder in sys.path if folder]
    try:
        if wire.receive() != "ready":
            raise Garbled
    except (Gone, Garbled):
        return tell(b"G")
    nothing = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    tell(b"R")
    try:
        solution, tests, names = (receive_frame(parent).decode("utf-8", "surrogatepass") for _ in range(3))
        verdict = judge(solution, tests, names.split("\n") if names else [])
    except BaseException as error:
        # A bug in this program itself, which could not be reported otherwise: its standard error is already closed.
        verdict = b"X", f"{type(error).__name__}: {error}"
    tell(*verdict)


main()
