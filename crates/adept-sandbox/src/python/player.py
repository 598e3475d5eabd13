# The untrusted side: it defines the solution and answers what the tests ask of it. The solution shares this interpreter
# and can take all of it apart; all that this side can ever do is to answer with values.


def play():
    channel = os.dup(0)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.path[:] = [folder for folder in sys.path if folder]
    program = type(sys)("__main__")
    shared = []

    def export(value):
        shared.append(value)
        return len(shared) - 1

    def load(source):
        try:
            code = compile(source, "<program>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, OverflowError, RecursionError) as error:
            return "syntax", describe(error)
        sys.modules["__main__"] = program
        exec(code, vars(program))
        return "value", None

    def get(name):
        found = vars(program)
        return ("value", found[name]) if name in found else ("none", None)

    def set_attribute(item, name, value):
        setattr(item, name, value)

    def set_item(item, key, value):
        item[key] = value

    asked = {
        "call": lambda item, arguments, named: item(*arguments, **named),
        "getattr": getattr,
        "setattr": set_attribute,
        "getitem": lambda item, key: item[key],
        "setitem": set_item,
        "len": len,
        "iter": iter,
        "next": next,
        "bool": bool,
        "str": str,
        "repr": repr,
    }
    wire = Wire(channel, export, shared.__getitem__)
    wire.send("ready")
    while True:
        what, *parts = wire.receive()
        try:
            if what == "load":
                answer = load(*parts)
            elif what == "get":
                answer = get(*parts)
            elif what == "iter":
                # An iterator stays on this side, whatever it is made of.
                answer = ("handle", export(iter(*parts)))
            else:
                answer = ("value", asked[what](*parts))
        except BaseException as error:
            answer = raised(error)
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            pass
        try:
            wire.send(answer)
        except Exception as error:
            # The value itself cannot be handed over: it holds itself, is too long, or objects to being read.
            wire.send(raised(error))


def raised(error):
    return "raised", type(error).__name__, describe(error), isinstance(error, Exception)


def describe(error):
    name = type(error).__name__
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


try:
    play()
except Gone:
    pass
