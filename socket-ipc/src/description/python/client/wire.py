class _Undecodable(Exception):
    """Bytes that are no message."""


def _encode(topic: str, keys: Mapping[str, Any]) -> bytes:
    """The line of an envelope, with its delimiter."""
    try:
        text = json.dumps({"topic": topic, **keys}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # Many readers end a line at these characters.
        for character in _LINE_ENDS:
            if character in text:
                text = text.replace(character, f"\\u{ord(character):04x}")
        if _INSIDE_STRINGS:
            text = text.replace(_DELIMITER_TEXT, _DELIMITER_ESCAPED)
        line = text.encode()
    except RecursionError:
        raise EncodeError(f"a message of `{topic}` is nested in more than {_MAX_DEPTH} levels") from None
    except (TypeError, ValueError) as error:
        raise EncodeError(f"a message of `{topic}` can't be sent: {_mistake(keys) or error}") from None
    if text.count("[") + text.count("{") > _MAX_DEPTH and _is_deep(keys.get(MESSAGE_KEY)):
        raise EncodeError(f"a message of `{topic}` is nested in more than {_MAX_DEPTH} levels")
    if len(line) > MAX_MESSAGE_LEN:
        raise MessageTooLarge(f"a message of `{topic}` has {len(line)} bytes, more than {MAX_MESSAGE_LEN}")
    return line + DELIMITER


def _decode(line: bytes) -> tuple[dict[str, Any], Optional[str]]:
    """The envelope of a line, and what is wrong with its message."""
    # Python reads lone surrogates, duplicate keys and numbers out of range. Lines that may hold any are read slowly.
    is_unusual = _UNUSUAL.search(line) is not None or line.count(b'"topic"') > 1 or line.count(_QUOTED_KEY) > 1
    keys: list[str] = []

    def note_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # It is called for the outermost object last.
        keys[:] = [key for key, _ in pairs]
        return dict(pairs)

    try:
        envelope = json.loads(
            line.decode(), parse_constant=_no_number, object_pairs_hook=note_keys if is_unusual else None
        )
    except RecursionError:
        raise _Undecodable("nested too deeply") from None
    except ValueError as error:
        raise _Undecodable(str(error)) from None
    if not isinstance(envelope, dict):
        raise _Undecodable("not an object")
    topic = envelope.get("topic")
    if not isinstance(topic, str):
        raise _Undecodable("no topic" if topic is None else "the topic is no string")
    for key in ("topic", MESSAGE_KEY):
        if keys.count(key) > 1:
            raise _Undecodable(f"two keys `{key}`")
    mistake = _mistake({key: envelope[key] for key in ("topic", MESSAGE_KEY) if key in envelope}) if is_unusual else None
    if mistake is not None and mistake.startswith("topic"):
        raise _Undecodable(mistake)
    return envelope, mistake


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _mistake(value: Any) -> Optional[str]:
    """The first place that JSON can't represent, such as ``message.points[3].y is nan``."""
    ahead: list[tuple[str, Any]] = [("", value)]
    seen = set()
    while ahead:
        place, value = ahead.pop()
        if isinstance(value, (dict, list, tuple)):
            if id(value) in seen:
                continue
            seen.add(id(value))
        if isinstance(value, str):
            if _SURROGATE.search(value):
                return f"{place} has a lone surrogate"
        elif isinstance(value, float):
            if not math.isfinite(value):
                return f"{place} is {value}, which JSON cannot represent"
        elif isinstance(value, dict):
            for key in value:
                if isinstance(key, str) and _SURROGATE.search(key):
                    return f"a key of {place} has a lone surrogate"
            dot = "." if place else ""
            ahead.extend((f"{place}{dot}{key}", value[key]) for key in reversed(list(value)))
        elif isinstance(value, (list, tuple)):
            ahead.extend((f"{place}[{at}]", value[at]) for at in reversed(range(len(value))))
        elif value is not None and not isinstance(value, int):
            return f"{place} is of type {type(value).__name__}, which JSON cannot represent"
    return None


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        parts = [it.values() if isinstance(it, dict) else it for it in level if isinstance(it, (dict, list, tuple))]
        level = [part for each in parts for part in each]
        if not level:
            return False
    return True


_MAX_DEPTH = 127
_LINE_ENDS = "\x85\u2028\u2029" if DELIMITER == b"\n" else ""
_DELIMITER_TEXT = DELIMITER.decode()
# JSON text has control characters in no other place than between its tokens, where this client writes nothing.
_INSIDE_STRINGS = all(byte >= 0x20 for byte in DELIMITER)
_FIRST = f"\\u{ord(_DELIMITER_TEXT[0]):04x}" if _DELIMITER_TEXT[0].isascii() else json.dumps(_DELIMITER_TEXT[0])[1:-1]
_DELIMITER_ESCAPED = _FIRST + _DELIMITER_TEXT[1:]
_QUOTED_KEY = json.dumps(MESSAGE_KEY, ensure_ascii=False).encode()
_SURROGATE = re.compile("[\ud800-\udfff]")
# Surrogates, keys with escapes, and numbers that may be too large for a float.
_UNUSUAL = re.compile(rb"\\u(?:[dD][89a-fA-F]|00)|[eE]\+?\d{3}|\d{200}")
