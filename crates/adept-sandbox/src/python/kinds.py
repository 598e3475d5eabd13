# What counts as data, and how each kind of value is disassembled and reassembled. Both interpreters have this list;
# anything not on it is transferred as a handle.

PLAIN = {
    type(None): lambda value, out: out.append(b"N"),
    bool: lambda value, out: out.append(b"T" if value else b"F"),
    type(Ellipsis): lambda value, out: out.append(b"E"),
    type(NotImplemented): lambda value, out: out.append(b"O"),
    int: lambda value, out: (out.append(b"i"), sized(b"%x" % value, out))[0],
    float: lambda value, out: (out.append(b"d"), sized(float.__repr__(value).encode(), out))[0],
    complex: lambda value, out: (out.append(b"c"), PLAIN[float](value.real, out), PLAIN[float](value.imag, out))[0],
    str: lambda value, out: (out.append(b"s"), sized(value.encode("utf-8", "surrogatepass"), out))[0],
    bytes: lambda value, out: (out.append(b"b"), sized(value, out))[0],
}
SINGLE = {b"N": None, b"T": True, b"F": False, b"E": Ellipsis, b"O": NotImplemented}
TEXT = {
    b"i": lambda text: int(text, 16),
    b"d": lambda text: float(text),
    b"s": lambda text: text.decode("utf-8", "surrogatepass"),
    b"b": bytes,
}

# Extracts data from a class of the program's own, whatever the class says about it.
BARE = {
    "int": (int, lambda value: int.__add__(value, 0)),
    "float": (float, lambda value: float(float.__repr__(value))),
    "complex": (complex, lambda value: complex.__pos__(value)),
    "str": (str, lambda value: str.__str__(value)),
    "bytes": (bytes, lambda value: bytes.join(b"", [value])),
    "tuple": (tuple, lambda value: tuple(list(tuple.__iter__(value)))),
    "frozenset": (frozenset, lambda value: frozenset.union(frozenset(), list(frozenset.__iter__(value)))),
}


def flat(pairs):
    return [part for pair in pairs for part in pair]


def refill_list(thing, extra, parts):
    list.__setitem__(thing, slice(None), parts)


def refill_dict(thing, extra, parts):
    dict.clear(thing)
    for at in range(0, len(parts), 2):
        dict.__setitem__(thing, parts[at], parts[at + 1])


def refill_ordered(thing, extra, parts):
    thing.clear()
    for at in range(0, len(parts), 2):
        thing[parts[at]] = parts[at + 1]


def refill_set(thing, extra, parts):
    set.clear(thing)
    arrange(thing, parts, extra)


def refill_bytes(thing, extra, parts):
    bytearray.__setitem__(thing, slice(None), parts)


def refill_deque(thing, extra, parts):
    thing.clear()
    thing.extend(parts)


def refill_array(thing, extra, parts):
    del thing[:]
    thing.frombytes(parts)


# Kind: its parts, additional constructor data, how to create it empty, how to refill it.
MUTABLE = {
    "list": (lambda value: list(list.__iter__(value)), lambda value: None, lambda kind, extra: kind(), refill_list),
    "dict": (lambda value: flat(dict.items(value)), lambda value: None, lambda kind, extra: kind(), refill_dict),
    "set": (lambda value: list(set.__iter__(value)), set.__sizeof__, lambda kind, extra: kind(), refill_set),
    "bytearray": (
        lambda value: bytes(memoryview(value)),
        lambda value: None,
        lambda kind, extra: kind(),
        refill_bytes,
    ),
    "collections.deque": (
        list,
        lambda value: value.maxlen,
        lambda kind, extra: kind(maxlen=extra),
        refill_deque,
    ),
    "collections.OrderedDict": (
        lambda value: flat(value.items()),
        lambda value: None,
        lambda kind, extra: kind(),
        refill_ordered,
    ),
    "collections.Counter": (
        lambda value: flat(dict.items(value)),
        lambda value: None,
        lambda kind, extra: kind(),
        refill_dict,
    ),
    "collections.defaultdict": (
        lambda value: flat(dict.items(value)),
        lambda value: value.default_factory,
        lambda kind, extra: kind(extra),
        refill_dict,
    ),
    "array.array": (
        lambda value: value.tobytes(),
        lambda value: value.typecode,
        lambda kind, extra: kind(extra),
        refill_array,
    ),
}


def make(kind, parts):
    return kind(*parts)


def zone_key(value):
    return value.key and (value.key,)


def make_zone(kind, parts):
    (key,) = parts
    if not all(part.replace("_", "a").replace("-", "a").replace("+", "a").isalnum() for part in key.split("/")):
        raise Garbled("no time zone")
    return kind(key)


# Kind: its parts, or None if it cannot be disassembled, and how to reassemble it.
FROZEN = {
    "range": (lambda value: (value.start, value.stop, value.step), make),
    "slice": (lambda value: (value.start, value.stop, value.step), make),
    "dict_keys": (lambda value: (list(value),), lambda kind, parts: dict.fromkeys(*parts).keys()),
    "dict_values": (lambda value: (list(value),), lambda kind, parts: dict(enumerate(*parts)).values()),
    "dict_items": (lambda value: (list(value),), lambda kind, parts: dict(*parts).items()),
    "decimal.Decimal": (lambda value: (str(value),), make),
    "fractions.Fraction": (lambda value: (value.numerator, value.denominator), make),
    "datetime.date": (lambda value: (value.year, value.month, value.day), make),
    "datetime.timedelta": (lambda value: (value.days, value.seconds, value.microseconds), make),
    "datetime.timezone": (lambda value: value.__getinitargs__(), make),
    "datetime.datetime": (
        lambda value: (
            (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond),
            value.tzinfo,
            value.fold,
        ),
        lambda kind, parts: kind(*parts[0], tzinfo=parts[1], fold=parts[2]),
    ),
    "datetime.time": (
        lambda value: ((value.hour, value.minute, value.second, value.microsecond), value.tzinfo, value.fold),
        lambda kind, parts: kind(*parts[0], tzinfo=parts[1], fold=parts[2]),
    ),
    "zoneinfo.ZoneInfo": (zone_key, make_zone),
    "uuid.UUID": (lambda value: (value.int,), lambda kind, parts: kind(int=parts[0])),
    "pathlib.PurePosixPath": (lambda value: (str(value),), make),
    "pathlib.PosixPath": (lambda value: (str(value),), make),
}

BUILTINS = {name: item for name, item in vars(sys.modules["builtins"]).items() if not name.startswith("_")}
NAMELESS = {
    "NoneType": type(None),
    "ellipsis": type(Ellipsis),
    "NotImplementedType": type(NotImplemented),
    "dict_keys": type({}.keys()),
    "dict_values": type({}.values()),
    "dict_items": type({}.items()),
}
FUNCTION, BUILTIN = type(flat), type(len)
DESCRIPTORS = (type(str.upper), type(str.__add__), type(dict.__dict__["fromkeys"]))
# Exceptions of the standard library that tests refer to, besides the builtin ones.
ERRORS = {
    "json.decoder.JSONDecodeError",
    "decimal.InvalidOperation",
    "decimal.DivisionByZero",
    "statistics.StatisticsError",
    "dataclasses.FrozenInstanceError",
    "re.error",
    "struct.error",
    "binascii.Error",
    "zlib.error",
    "queue.Empty",
    "queue.Full",
    "csv.Error",
    "copy.Error",
    "asyncio.exceptions.CancelledError",
    "asyncio.exceptions.InvalidStateError",
    "asyncio.exceptions.QueueEmpty",
    "asyncio.exceptions.QueueFull",
}
DATA = {*BARE, *MUTABLE, *FROZEN, *NAMELESS, "bool", "object"}
KNOWN = {}
# Classes can override how they answer; these are the interpreter's own accessors.
TYPE = type.__dict__


def known(kind):
    """The name of a class whose values are data, or None."""
    name = KNOWN.get(kind)
    if name is None and kind not in KNOWN:
        name = None
        module, spelled = TYPE["__module__"].__get__(kind), TYPE["__name__"].__get__(kind)
        if module == "builtins":
            if spelled in DATA and BUILTINS.get(spelled, NAMELESS.get(spelled)) is kind:
                name = spelled
        elif type(module) is str and type(spelled) is str:
            dotted = f"{module}.{spelled}"
            # A module with a private path within a package has been moved there: the public name remains.
            dotted = {"pathlib._local": "pathlib", "zoneinfo._zoneinfo": "zoneinfo"}.get(module, module) + "." + spelled
            if dotted in MUTABLE or dotted in FROZEN:
                name = dotted if loaded(dotted) is kind else None
        KNOWN[kind] = name
    return name


def loaded(dotted):
    """A class of the standard library, if its module is already imported."""
    module, _, name = dotted.rpartition(".")
    return getattr(sys.modules.get(module), name, None)


def standard(name):
    """The class in the lists above with this name."""
    if "." not in name:
        return BUILTINS.get(name, NAMELESS.get(name))
    module, _, kind = name.rpartition(".")
    return getattr(__import__(module, fromlist=[kind]), kind)


def path_of(value, kind):
    """The name under which either side finds a function or class of the library, or None."""
    if not (issubclass(kind, type) or kind in (FUNCTION, BUILTIN) or kind in DESCRIPTORS):
        return None
    holder = value.__objclass__ if kind in DESCRIPTORS else value
    module = getattr(holder, "__module__", None) or getattr(getattr(value, "__self__", None), "__name__", "builtins")
    if module == "__main__" or module not in sys.modules:
        return None
    found = sys.modules[module]
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is value:
        return f"{module}:{value.__qualname__}"
    return next((f"builtins:{name}" for name, item in NAMELESS.items() if item is value), None)


def base_of(thing):
    """The kind of a mirrored object, which may be of a class of the program's own."""
    kind = type(thing)
    name = known(kind)
    if name in MUTABLE:
        return name
    return next(name for name in ("list", "dict", "set", "bytearray") if issubclass(kind, BUILTINS[name]))


def arranged(kind, items, size):
    """A set with this iteration order. The order depends on the size of its table and on the order of insertion."""
    for tried in (items, items[::-1], sorted(items, key=hash) if len(items) > 1 else ()):
        for made in (kind(tried), kind(dict.fromkeys(tried))):
            if made.__sizeof__() == size and not differ(list(made), items):
                return made
    made = kind(items)
    misplaced(made, items)
    return made


def arrange(thing, items, size):
    """The same, by filling an empty set."""
    for tried in (items, items[::-1], sorted(items, key=hash) if len(items) > 1 else ()):
        for source in (tried, dict.fromkeys(tried)):
            set.update(thing, source)
            if set.__sizeof__(thing) == size and not differ(list(set.__iter__(thing)), items):
                return
            set.clear(thing)
    set.update(thing, items)
    misplaced(thing, items)


MISPLACED = []


def misplaced(made, items):
    """Whether the order of a set was lost in transfer, although every interpreter would have the same one."""
    if differ(list(kind_of_set(made).__iter__(made)), items) and not MISPLACED:
        if all(type(item) in (int, float, bool, tuple) for item in items):
            MISPLACED.append(f"the order of a set of {len(items)}, from {items[0]!r:.40} on")


def kind_of_set(made):
    return set if isinstance(made, set) else frozenset
