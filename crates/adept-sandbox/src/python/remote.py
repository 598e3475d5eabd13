# Proxies in the judge for the solution's functions, classes, objects and exceptions. All of them are inert: every
# operation is requested from the other side, and returns data or another proxy.

# Special methods that are forwarded, with the required type of their result.
CARRIED = {
    "__len__": int,
    "__bool__": bool,
    "__str__": str,
    "__repr__": str,
    "__format__": str,
    "__bytes__": bytes,
    "__hash__": int,
    "__int__": int,
    "__index__": int,
    "__float__": float,
    "__complex__": complex,
    **dict.fromkeys(
        "__iter__ __next__ __reversed__ __getitem__ __setitem__ __delitem__ __missing__ __length_hint__ __call__ "
        "__enter__ __exit__ __aiter__ __anext__ __aenter__ __aexit__ __neg__ __pos__ __invert__ __abs__ __round__ "
        "__trunc__ __floor__ __ceil__ __fspath__ __dir__".split()
    ),
}
# Methods that would reveal what the tests expect, and whose result would decide: they are called only with the
# solution's own objects.
JUDGING = {
    "__eq__",
    "__ne__",
    "__lt__",
    "__le__",
    "__gt__",
    "__ge__",
    "__contains__",
    *(
        f"__{side}{name}__"
        for name in "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift".split()
        for side in ("", "r", "i")
    ),
}
# The interpreter's function classes, which compare by identity.
FUNCTIONS = {
    f"builtins.{name}"
    for name in "function builtin_function_or_method method_descriptor wrapper_descriptor classmethod_descriptor".split()
}
# Attributes inspected by library code that would mistake a proxy for the object itself.
OPAQUE = {"__signature__", "__dataclass_fields__", "__dataclass_params__"}


class RemoteClass(type):
    """The class of the proxies of one of the solution's classes."""

    numbers, names = {}, {}

    def __new__(mcs, name, bases, body):
        if bases:
            raise unsupported("the tests derive a class from one of the program's")
        return type.__new__(mcs, name, bases, body)

    def __call__(cls, *arguments, **named):
        return ask("call", cls, arguments, named)

    def __getattr__(cls, name):
        if name in OPAQUE:
            raise unsupported(f"the tests look at `{name}` of the program's {cls.__name__}")
        return ask("getattr", cls, name)

    def __setattr__(cls, name, value):
        ask("setattr", cls, name, value)

    def __delattr__(cls, name):
        ask("delattr", cls, name)

    def __getitem__(cls, key):
        return ask("getitem", cls, key)

    def __iter__(cls):
        return ask("iter", cls)

    def __len__(cls):
        return of_type(int, ask("special", cls, "__len__", ()))

    def __bool__(cls):
        return True

    def __contains__(cls, item):
        if not is_remote(item):
            raise unsupported(f"the tests ask whether {type(item).__name__} data is in the program's {cls.__name__}")
        return of_type(bool, ask("contains", cls, item))

    def __repr__(cls):
        return of_type(str, ask("repr", cls))


class Remote(metaclass=RemoteClass):
    """A proxy of a non-data object of the solution's."""

    def __getattribute__(self, name):
        if name == "__class__":
            return type(self)
        if name in OPAQUE:
            raise unsupported(f"the tests look at `{name}` of a {type(self).__name__} of the program's")
        return ask("getattr", self, name)

    def __setattr__(self, name, value):
        ask("setattr", self, name, value)

    def __delattr__(self, name):
        ask("delattr", self, name)


def is_remote(value):
    return type(type(value)) is RemoteClass or type(value) is RemoteClass or id(value) in RELAYS


def is_instance(thing, kinds):
    """`isinstance` for the tests: the other side's library classes are distinct."""
    if isinstance(thing, kinds):
        return True
    names = RemoteClass.names.get(type(thing)) if is_remote(thing) else None
    left = [kinds]
    while names and left:
        kind = left.pop()
        if isinstance(kind, tuple):
            left.extend(kind)
        elif isinstance(kind, type) and f"{kind.__module__}.{kind.__qualname__}" in names:
            return True
    return False


def own(value):
    """The proxy's own attributes."""
    return object.__getattribute__(value, "__dict__")


def number_of(value):
    return RemoteClass.numbers[value] if type(value) is RemoteClass else own(value)["number"]


def carried(name):
    wanted = CARRIED[name]

    def method(self, *arguments, **named):
        if name == "__call__":
            return ask("call", self, arguments, named)
        value = ask("special", self, name, arguments)
        if wanted is None:
            return value
        if wanted is not bool and isinstance(value, wanted):
            # A subclass of the solution's, or a bool for a number.
            return BARE[wanted.__name__][1](value)
        return of_type(wanted, value)

    return method


def judging(name, bare):
    def method(self, other, *rest):
        if is_remote(other) and not rest:
            return ask("special", self, name, (other,))
        if lies(self, other):
            # It claims to be equal to an arbitrary value: it is treated as an object of an unrelated type.
            return getattr(bare, name)(self, other) if bare is not None else NotImplemented
        if is_remote(other):
            other = "other things"
        raise unsupported(
            f"`{type(self).__name__}.{name}` of the program's would be told {type(other).__name__} data of the tests"
        )

    def contains(self, item):
        answer = method(self, item)
        return False if answer is NotImplemented else answer

    return contains if name == "__contains__" else method


def lies(thing, other):
    """Whether an object claims to be equal to, to contain, or to be both less and greater than, a value that the tests
    do not use. It is never asked about one that they do."""
    nevers = {int: 7_305_817_921_367, float: 7305.817921367, str: "unheard of", bytes: b"unheard of"}
    for kind in (type(other), int, list):
        never = nevers.get(kind, (nevers[int],))
        says = {}
        for name in ("__eq__", "__lt__", "__gt__", "__contains__"):
            if name not in type.__getattribute__(type(thing), "__dict__"):
                continue
            try:
                says[name] = ask("special", thing, name, (never,)) is True
            except Exception:
                continue
        if says.get("__eq__") or says.get("__contains__") or says.get("__lt__") and says.get("__gt__"):
            return True
    return False


def alike(self, other):
    """Equality within its own kind only: that of a data class, field by field, and that of the interpreter's functions,
    by the name that the other side gave before it could know what is expected."""
    if is_remote(other):
        return ask("special", self, "__eq__", (other,))
    path = own(self).get("path")
    return NotImplemented if path is None else path_of(other, type(other)) == path


def awaited(self):
    return ask("await", self)
    yield


def copied(self, protocol):
    raise unsupported(f"the tests copy a {type(self).__name__} of the program's")


def dropped(self):
    about = own(self)
    if "number" in about:
        wire.drop(about["number"], self)


def shadow(name):
    return property(
        lambda self: ask("getattr", self, name),
        lambda self, value: ask("setattr", self, name, value),
    )


def make_class(number, about):
    """Creates the proxy of a class. Its name and bases are claims of the other side; its methods are ours."""
    name, module, bases, specials, hidden, base, unhashable, names = about
    for text in (name, module, *specials, *hidden, *names):
        of_type(str, text)
    bare = BUILTINS[base] if base in BARE or base in ("list", "dict", "set", "bytearray") else None
    if not all(isinstance(parent, type) for parent in of_type(list, bases)):
        raise Garbled("a base that is no class")
    failure = any(issubclass(parent, BaseException) for parent in bases)
    body = {"__module__": module, "__del__": dropped}
    for special in specials:
        if special in CARRIED:
            body[special] = carried(special)
        elif special in JUDGING:
            body[special] = judging(special, bare)
        elif special == "alike":
            body["__eq__"] = alike
        elif special == "__await__":
            body[special] = awaited
    for covered in hidden:
        if covered.startswith("__"):
            raise Garbled("a name that cannot be covered")
        body[covered] = shadow(covered)
    if not FUNCTIONS.isdisjoint(names):
        body["__eq__"] = alike
    if "builtins.function" in names:
        body["__get__"] = lambda self, thing, kind=None: self if thing is None else METHOD(self, thing)
    if "__eq__" in body and "__hash__" not in body:
        # Its class keeps the inherited hash, by identity or by content.
        body["__hash__"] = None if unhashable else (bare or object).__hash__
    if bare is not None or failure:
        body["__getattribute__"] = object.__getattribute__
        body["__getattr__"] = lambda self, asked: ask("getattr", self, asked)
        body["__reduce_ex__"] = copied
    if failure:
        body["__setattr__"], body["__eq__"], body["__hash__"] = object.__setattr__, object.__eq__, object.__hash__
    elif bare is not None:
        body["__setattr__"] = Remote.__setattr__
    root = BaseException if failure else bare
    fitting = [parent for parent in bases if type(parent) is RemoteClass or parent is root]
    if failure:
        fitting = [parent for parent in bases if type(parent) is RemoteClass or issubclass(parent, BaseException)]
    if not any(issubclass(parent, root or Remote) for parent in fitting):
        fitting.append(root or Remote)
    lone = [parent for parent in fitting if issubclass(parent, root or Remote)][:1]
    for parents in (fitting, lone):
        try:
            made = type.__new__(RemoteClass, name, tuple(parents), dict(body))
        except TypeError:
            # Bases in an order, or of kinds, that only the other side supports.
            continue
        RemoteClass.numbers[made], RemoteClass.names[made] = number, frozenset(names)
        return made
    raise Garbled("a class that cannot be")


def make_bare(kind, number, base, value):
    """Data in a class of the program's own."""
    builtin, _ = BARE[base]
    if type(value) is not builtin or not issubclass(kind, builtin):
        raise Garbled("data of another kind")
    thing = builtin.__new__(kind, value)
    own(thing)["number"] = number
    return thing


def make_failure(kind, arguments, about, cause):
    """Creates an exception. No code of its class other than the interpreter's own runs."""
    of_type(tuple, arguments), of_type(dict, about)
    if type(kind) is RemoteClass or kind.__module__ != "builtins":
        error = kind.__new__(kind, *arguments)
        error.args = arguments
    else:
        try:
            error = kind(*arguments)
        except Exception:
            error = kind.__new__(kind)
            error.args = arguments
    vars(error).update((of_type(str, name), value) for name, value in about.items())
    if isinstance(cause, BaseException):
        error.__cause__ = cause
    return error


RELAYS = {}


def step(what, remote, *rest):
    """Whether a generator of the solution's continues, and its value."""
    try:
        return True, ask(what, remote, *rest)
    except StopIteration as stop:
        return False, stop.value


def generator(remote):
    """A generator in place of one of the solution's."""
    going, value = step("next", remote)
    while going:
        try:
            sent = yield value
        except GeneratorExit:
            # One discarded while an answer is being read is closed by the other side once that is told of it.
            if not Final.busy:
                ask("close", remote)
            raise
        except BaseException as error:
            going, value = step("throw", remote, error)
        else:
            going, value = step("next", remote) if sent is None else step("send", remote, sent)
    return value


async def coroutine(remote):
    return ask("await", remote)
