# The trusted side: it runs the tests, asks the other side for what the solution answers, and tells the parent what came
# of it. No line of the solution ever runs here.


class Unsupported(BaseException):
    """The tests hand over something that is not data."""


class Ended(BaseException):
    """The program tried to end the interpreter, which is not for tests to catch."""


class RemoteError(Exception):
    """An exception of a class that the solution made itself."""


class Remote:
    """Something of the solution's that is not plain data. Its equality is its identity: two of them are alike if they
    are one, and none is like any data, whatever the solution says."""

    __slots__ = ("_number",)

    def __init__(self, number):
        object.__setattr__(self, "_number", number)

    def __eq__(self, other):
        return type(other) is Remote and self._number == other._number

    def __hash__(self):
        return hash(self._number)

    def __call__(self, *arguments, **named):
        return ask("call", self, arguments, named)

    def __getattr__(self, name):
        return ask("getattr", self, name)

    def __setattr__(self, name, value):
        ask("setattr", self, name, value)

    def __getitem__(self, key):
        return ask("getitem", self, key)

    def __setitem__(self, key, value):
        ask("setitem", self, key, value)

    def __len__(self):
        return of_type(int, ask("len", self))

    def __bool__(self):
        return of_type(bool, ask("bool", self))

    def __str__(self):
        return of_type(str, ask("str", self))

    def __repr__(self):
        return of_type(str, ask("repr", self))

    def __iter__(self):
        return ask("iter", self)

    def __next__(self):
        return ask("next", self)


def of_type(kind, value):
    if type(value) is not kind:
        raise Garbled(f"{kind.__name__} was asked for, {type(value).__name__} came")
    return value


def export(value):
    if type(value) is Remote:
        return value._number
    raise Unsupported(f"a value of type {type(value).__name__} cannot be handed to the program")


parent, player = os.dup(0), os.dup(1)
wire = Wire(player, export, Remote)


def ask(what, *parts):
    try:
        wire.send((what, *parts))
    except (ValueError, OverflowError, RecursionError) as error:
        # What the tests hand over is too long, or holds itself: that says nothing about the program.
        raise Unsupported(f"{type(error).__name__}: {error}") from None
    answer = wire.receive()
    if type(answer) is not tuple or not answer:
        raise Garbled("no answer")
    if answer[0] == "value" and len(answer) == 2:
        return answer[1]
    if answer[0] == "handle" and len(answer) == 2:
        return Remote(of_type(int, answer[1]))
    if answer[0] == "none" and what == "get":
        raise LookupError
    if answer[0] == "syntax" and what == "load":
        raise SyntaxError(of_type(str, answer[1]))
    if answer[0] == "raised" and len(answer) == 4:
        raise error_of(what, *answer[1:])
    raise Garbled("no answer")


def error_of(what, name, said, is_exception):
    of_type(str, name), of_type(str, said)
    if not is_exception:
        return Ended(said)
    kind = BUILTINS.get(name)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        kind = RemoteError
    if name in ("StopIteration", "StopAsyncIteration") and what != "next":
        # Out of a call it would silently cut short a loop of the tests that runs over `map(candidate, ...)`.
        kind = RemoteError
    try:
        error = kind(said.partition(": ")[2])
    except TypeError:
        error = RemoteError(said)
    error.said = said
    return error


def judge(solution, tests, names):
    try:
        code = compile(tests, "<tests>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        return b"T", f"{type(error).__name__}: {error}"
    space = {"__name__": "tests", "__builtins__": sys.modules["builtins"]}
    try:
        try:
            ask("load", solution)
        except SyntaxError as error:
            # One that the solution raises while it runs has the same name.
            return (b"S", error.msg) if not hasattr(error, "said") else (b"F", error.said)
        for name in names:
            try:
                space[name] = ask("get", name)
            except LookupError as error:
                if hasattr(error, "said"):
                    raise
        exec(code, space)
        return b"P", ""
    except Gone:
        return b"G", ""
    except Garbled as error:
        return b"F", f"the program's answers make no sense: {error}"
    except Unsupported as error:
        return b"U", str(error)
    except Ended as error:
        return b"F", f"the program tried to end: {error}"
    except MemoryError:
        return b"M", ""
    except BaseException as error:
        return failure(error, tests)


def failure(error, tests):
    """The verdict on an exception of the tests. Its text can hold values of the program's, which may object to being
    printed: a number of too many digits, something that is asked for its name and ends. It is a failure all the same."""
    try:
        return b"F", described(error, tests)
    except Gone:
        return b"G", ""
    except MemoryError:
        return b"M", ""
    except BaseException:
        return b"F", f"{type(error).__name__} (it cannot be printed)"


def described(error, tests):
    """The exception in words, with the line of the tests that it came out of."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<tests>":
            line = trace.tb_lineno
        trace = trace.tb_next
    text = getattr(error, "said", None)
    if text is None:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
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
        # This program itself is wrong, and nothing else would hear of it: its standard error is closed by now.
        verdict = b"X", type(error).__name__
    tell(*verdict)


main()
