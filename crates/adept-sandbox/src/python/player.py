# The untrusted side: defines the solution and answers the tests' requests. The solution shares this interpreter and can
# take all of it apart; all that this side can ever do is answer with values.

# Type flag of classes created by a program rather than the interpreter.
HEAP = 1 << 9
ORDER = {"__ne__", "__lt__", "__le__", "__gt__", "__ge__"}
GENERATOR = type(_ for _ in ())
BASES = {**{name: kind for name, (kind, _) in BARE.items()}, "list": list, "dict": dict, "set": set}
BASES["bytearray"] = bytearray


def own_dict(kind):
    return TYPE["__dict__"].__get__(kind)


def mro(kind):
    return TYPE["__mro__"].__get__(kind)


def text_of(kind, name):
    value = TYPE[name].__get__(kind)
    return value if type(value) is str else ""


def global_name(kind):
    """The name of a class that both sides have, or None."""
    name = known(kind)
    if name is None:
        spelled = text_of(kind, "__name__")
        if BUILTINS.get(spelled) is kind and issubclass(kind, BaseException):
            return spelled
        dotted = f"{text_of(kind, '__module__')}.{spelled}"
        return dotted if dotted in ERRORS and loaded(dotted) is kind else None
    return name


class Stage(Wire):
    """The player's end of the wire."""

    first, deepest, longest = 1, 400, 128 << 20

    def export(self, value):
        number = self.numbers.get(id(value))
        if number is None:
            number = self.keep(value)
            self.sent[number] = 0
        self.sent[number] += 1
        return number

    def may_let_go(self, number):
        # An object of a class of the program's own is sent as its handle for as long as the other side holds it.
        return known(type(self.things[number])) in MUTABLE

    def other(self, value, kind, out, fresh, depth):
        if issubclass(kind, type):
            name = global_name(value)
            if name is not None:
                out.append(b"n")
                return sized(name.encode(), out)
            out.append(b"C" + word(self.keep(value)))
            return self.encode(described(value), out, True, depth + 1)
        if issubclass(kind, BaseException):
            return self.failure(value, kind, out, depth)
        if kind is GENERATOR:
            out.append(b"g" + word(self.export(value)))
        elif text_of(kind, "__name__") == "coroutine" and not kind.__flags__ & HEAP:
            out.append(b"w" + word(self.export(value)))
        else:
            base = base_name(kind)
            if base in MUTABLE:
                return self.mutable(value, b"V", base, kind, out, False, depth)
            out.append((b"v" if base else b"h") + word(self.export(value)))
            self.encode(kind, out, False, depth + 1)
            if not base:
                self.encode(path_of(value, kind), out, False, depth + 1)
            else:
                PLAIN[str](base, out)
                self.encode(BARE[base][1](value), out, False, depth + 1)

    def failure(self, error, kind, out, depth):
        name = global_name(kind)
        arguments = BaseException.args.__get__(error)
        if issubclass(kind, OSError):
            arguments = OSError.__reduce__(error)[1]
        cause = BaseException.__cause__.__get__(error) if depth < 8 else None
        if name is not None:
            out.append(b"x")
            sized(name.encode(), out)
            self.encode(arguments, out, False, depth + 1)
            about = BaseException.__dict__["__dict__"].__get__(error)
            self.encode(dict(about), out, True, depth + 1)
        else:
            out.append(b"X" + word(self.export(error)))
            self.encode(kind, out, False, depth + 1)
            self.encode(arguments, out, False, depth + 1)
        self.encode(cause, out, False, depth + 1)

    # Receiving

    def read_other(self, tag, reader):
        if tag == b"n":
            module, _, path = reader.text().decode().partition(":")
            found = __import__(module, fromlist=["*"]) if module != "builtins" else sys.modules["builtins"]
            if module == "builtins" and path in NAMELESS:
                return NAMELESS[path]
            for part in path.split("."):
                found = getattr(found, part)
            return found
        number = reader.number()
        if tag == b"u":
            thing = function(number, *self.decode(reader))
        elif tag == b"x":
            thing = error_like(self, reader)
        elif tag == b"I":
            thing = generator(number) if self.decode(reader) else Iterator(number)
        else:
            raise Garbled("an unknown kind of value")
        self.keep(thing, number)
        return thing


def error_like(stage, reader):
    path, name, arguments = stage.decode(reader)
    module, _, spelled = path.partition(":")
    kind = getattr(__import__(module, fromlist=["*"]), spelled)
    if spelled != name:
        kind = type(name, (kind,), {"__module__": "tests"})
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    return error


def base_name(kind):
    """The kind of data that objects of a class are, or None."""
    for name, builtin in BASES.items():
        if builtin in mro(kind):
            return name
    return None


def described(kind):
    """Describes a class for the other side."""
    base = base_name(kind)
    builtin = BASES.get(base)
    line = [each for each in mro(kind) if each is not object]
    above = line[: line.index(builtin)] if builtin else line
    specials, hidden, unhashable = [], [], False
    failure = BaseException in line
    if failure:
        above = [each for each in above if each.__flags__ & HEAP and global_name(each) is None]
    seen = set()
    for each in above:
        for name, item in list(own_dict(each).items()):
            if type(name) is not str or name in seen:
                continue
            seen.add(name)
            if name == "__hash__" and item is None:
                unhashable = True
            elif name[:2] == name[-2:] == "__":
                if name == "__eq__" and is_of_dataclass(item):
                    name = "alike"
                elif failure and name not in ("__str__", "__repr__"):
                    continue
                elif name in ORDER and not each.__flags__ & HEAP:
                    # As in the interpreter's own classes: compared by identity, and unordered.
                    continue
                if item is not None:
                    specials.append(name)
            elif builtin is not None and hasattr(builtin, name) or failure and name == "args":
                hidden.append(name)
    bases = [each for each in TYPE["__bases__"].__get__(kind) if each is not object]
    names = [f"{text_of(each, '__module__')}.{text_of(each, '__qualname__')}" for each in line]
    name, module = text_of(kind, "__name__"), text_of(kind, "__module__")
    return name, module, bases, specials, hidden, base, unhashable, names


def is_of_dataclass(item):
    """Whether equality is that of a data class, which applies only to its own kind."""
    if type(item) is not FUNCTION:
        return not issubclass(type(item), FUNCTION) and type(item) is type(object.__eq__)
    return item.__code__.co_filename == "<string>" and "dataclasses" in sys.modules


class Iterator:
    """An iterator of the tests."""

    def __init__(self, number):
        self.number = number

    def __iter__(self):
        return self

    def __next__(self):
        return back("next", self.number)


def generator(number):
    while True:
        try:
            item = back("next", number)
        except StopIteration as stop:
            return stop.value
        yield item


def function(number, name, shape):
    """A function of the tests, with the same parameters."""

    def relay(*arguments, **named):
        return back("call", number, arguments, named)

    made = relay
    if shape is not None and name.replace("<lambda>", "l").isidentifier():
        made = shaped(relay, *shape)
    made.__name__ = made.__qualname__ = name
    made.__module__ = "__main__"
    return made


def shaped(relay, positional, count, keyword, flags, names, defaults, keyword_defaults):
    plain, only = names[:count], names[count : count + keyword]
    rest = names[count + keyword :]
    many = rest.pop(0) if flags & 4 else None
    pairs = rest.pop(0) if flags & 8 else None
    spelled = []
    for place, name in enumerate(plain):
        spelled.append(name + ("=_none" if place >= count - defaults else ""))
        if place + 1 == positional:
            spelled.append("/")
    if many or only:
        spelled.append("*" + (many or ""))
    spelled += [name + ("=_none" if name in keyword_defaults else "") for name in only]
    if pairs:
        spelled.append("**" + pairs)
    given = f"[{', '.join(plain)}]" + (f" + list({many})" if many else "")
    named = "{" + ", ".join(f"{name!r}: {name}" for name in only) + (f", **{pairs}" if pairs else "") + "}"
    text = f"lambda {', '.join(spelled)}: _relay(*[v for v in {given} if v is not _none], "
    text += f"**{{k: v for k, v in ({named}).items() if v is not _none}})"
    return eval(text, {"_relay": relay, "_none": object()})


def back(what, *parts):
    """Sends a request to the other side in the middle of an answer."""
    if not answering:
        raise RuntimeError("the tests are asked while they ask nothing")
    flush()
    wire.send(("ask", what, parts[0], parts[1:]))
    while True:
        answer = wire.receive()
        if answer[0] == "value":
            return answer[1]
        if answer[0] == "stopped":
            raise StopIteration(answer[1])
        if answer[0] == "raised":
            raise answer[1]
        serve(answer)


program = type(sys)("__main__")
loaded_code = []
answering = []


def compile_solution(source):
    # No line of the program has run yet, so the error is the interpreter's own.
    try:
        loaded_code.append(compile(source, "<program>", "exec", dont_inherit=True))
    except (SyntaxError, ValueError, OverflowError, RecursionError) as error:
        return "syntax", describe(error)
    return "value", None


def load():
    sys.modules["__main__"] = program
    exec(loaded_code.pop(), vars(program))


def get(name):
    found = vars(program)
    return ("value", found[name]) if name in found else ("none",)


def call(item, arguments, named):
    value = item(*arguments, **named)
    if type(value) in (str, bytes, tuple, frozenset, int, float):
        # The very object that was passed in, if its type does not tell.
        for place, argument in enumerate(arguments):
            if argument is value:
                return "same", place
    return "value", value


def special(item, name, rest):
    kind = type(item)
    if name == "__next__":
        return step(kind.__next__, item)
    return "value", getattr(kind, name)(item, *rest)


def step(how, *parts):
    try:
        return "value", how(*parts)
    except StopIteration as stop:
        return "stopped", stop.value


def wait_for(item):
    import asyncio

    async def waits():
        return await item

    if not loops:
        loops.append(asyncio.new_event_loop())
    return loops[0].run_until_complete(waits())


def set_item(item, key, value):
    item[key] = value


loops = []
asked = {
    "compile": compile_solution,
    "load": load,
    "get": get,
    "call": call,
    "special": special,
    "getattr": getattr,
    "setattr": setattr,
    "delattr": delattr,
    "getitem": lambda item, key: item[key],
    "contains": lambda item, key: key in item,
    "iter": iter,
    "next": lambda item: step(next, item),
    "send": lambda item, value: step(item.send, value),
    "throw": lambda item, error: step(item.throw, error),
    "close": lambda item: item.close(),
    "repr": repr,
    "await": wait_for,
}
STATED = ("compile", "get", "call", "special", "next", "send", "throw")


def perform(what, parts):
    try:
        value = asked[what](*parts)
        return value if what in STATED else ("value", value)
    except BaseException as error:
        return "raised", error, describe(error)


def answered(request):
    what, captured, thrown, parts = request
    before = sys.stdout
    if thrown is not None:
        import random

        random.setstate(thrown)
    if captured:
        import io

        sys.stdout = io.StringIO()
    answering.append(what)
    answer = perform(what, parts)
    answering.pop()
    printed = ""
    if captured:
        try:
            printed = sys.stdout.getvalue()
        except BaseException:
            printed = ""
        sys.stdout = before
    lost = MISPLACED[0] if MISPLACED else ""
    return (answer[0], printed, lost, random.getstate() if thrown is not None else None, *answer[1:])


def flush():
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        pass


def serve(request):
    answer = answered(request)
    del request
    flush()
    try:
        wire.send(answer)
    except Gone:
        raise
    except BaseException as error:
        # The value itself cannot be sent: it is too long, or fails to be read.
        wire.send(("raised", "", "", None, bland(error), describe(error)))


def bland(error):
    """A replacement exception that can be sent."""
    kind = next(each for each in mro(type(error)) if global_name(each) is not None)
    try:
        return kind(str(error)[:1000])
    except BaseException:
        return Exception("it cannot be handed over")


def describe(error):
    name = text_of(type(error), "__name__")
    try:
        text = str(error)
    except BaseException:
        text = "(it cannot be printed)"
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<program>":
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f" (line {line} of the program)" if line else ""
    return f"{name}: {text[:2000]}{where}" if text else f"{name}{where}"


def play():
    channel = os.dup(0)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.path[:] = [folder for folder in sys.path if folder]
    global wire
    wire = Stage(channel)
    wire.send("ready")
    while True:
        serve(wire.receive())


try:
    play()
except Gone:
    pass
