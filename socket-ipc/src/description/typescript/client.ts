// ---- Errors ----

/** What went wrong, for programs. The message of the error says it to people. */
export type ErrorCode =
    /** There is no connection at the moment; nothing was sent. */
    | "NOT_CONNECTED"
    /** The client was closed. */
    | "CLOSED"
    /** An attempt to connect failed; `cause` has the error of the system. */
    | "CONNECT_FAILED"
    /** No attempt to connect succeeded; `cause` has the error of the last one. */
    | "GAVE_UP"
    /** `connect` is running already. */
    | "ALREADY_CONNECTING"
    /** The connection ended. The server may have received what was sent. */
    | "CONNECTION_LOST"
    /** No reply came in time. */
    | "TIMEOUT"
    /** The server gave up its request: the reason of a responder's signal. */
    | "CANCELLED"
    /** More is queued than `outboxLen` allows; nothing was sent. */
    | "OUTBOX_FULL"
    /** The message is longer than the server takes, or than it may send. */
    | "TOO_LARGE"
    /** JSON has no such value: NaN, a function, a `Map`, a cycle. Or a `number` has none: 1e400. */
    | "NOT_JSON"
    /** An integer that a `number` cannot hold exactly. */
    | "UNSAFE_INTEGER"
    /** A text that holds half of a surrogate pair. */
    | "LONE_SURROGATE"
    /** What was received is not a message. */
    | "MALFORMED"
    /** As many requests are pending as `maxRequests` allows; nothing was sent. */
    | "TOO_MANY_REQUESTS"
    /** The topic has a responder already. */
    | "ALREADY_REGISTERED"
    /** The server has no responder for the topic. */
    | "NO_RESPONDER"
    /** The server could not decode the request. */
    | "UNDECODABLE"
    /** The responder panicked. */
    | "PANICKED"
    /** The responder failed with the error of its topic: a `FailedError`. */
    | "FAILED"
    /** Any other error reply: a `RejectedError`. */
    | "REJECTED"
    /** The topic has a single reply: use `request`. */
    | "NOT_A_STREAM"
    /** The wires of the Node library have no streams. */
    | "NO_STREAMS"
    /** The topic has a stream of replies: use `stream`. */
    | "IS_A_STREAM"
    /** The server sent more items than the window allows. */
    | "WINDOW_EXCEEDED";

/** Why a call failed, or what an event reports. Its message names the topic or the path that it is about. */
export class IpcError extends Error {
    readonly code: ErrorCode;
    /** The topic that it is about, if there is one. */
    readonly topic: string | undefined;

    constructor(code: ErrorCode, message: string, topic?: string, cause?: unknown) {
        super(message, cause === undefined ? undefined : { cause });
        this.name = new.target.name;
        this.code = code;
        this.topic = topic;
    }
}

/** The responder failed with the typed error of its topic. `isFailed` tells which one it is. */
export class FailedError<T extends keyof Errors = keyof Errors> extends IpcError {
    /** The typed error. */
    readonly data: Errors[T];
    /** The text of the error; empty if it has none. */
    readonly text: string;

    constructor(topic: string, text: string, data: Errors[T]) {
        super("FAILED", `\`${topic}\` failed${afterColon(text)}`, topic);
        this.data = data;
        this.text = text;
    }
}

/** The request was rejected by an error reply that carries no typed error. */
export class RejectedError extends IpcError {
    /** The code of the error reply. */
    readonly replyCode: string;
    /** The text of the error reply. */
    readonly text: string;

    constructor(topic: string, replyCode: string, text: string) {
        super("REJECTED", `\`${topic}\` was rejected (${replyCode})${afterColon(text)}`, topic);
        this.replyCode = replyCode;
        this.text = text;
    }
}

/**
 * Tells whether a request of this topic failed with its typed error, which is `error.data` then.
 *
 *     try { … } catch (error) {
 *         if (isFailed(error, 'submit')) console.error(error.data);
 *     }
 */
export function isFailed<T extends keyof Errors & string>(error: unknown, topic: T): error is FailedError<T> {
    return error instanceof FailedError && error.topic === topic;
}

function textOf(error: unknown): string {
    return error instanceof Error ? error.message : String(error);
}

function afterColon(text: string): string {
    return text === "" ? "" : `: ${text}`;
}

/** Whether it is an error reply, where a reply comes under this topic. Programs that are older leave out the key `error`. */
function isErrorReply(envelope: Envelope, replyTopic: string): boolean {
    return envelope.error || (envelope.topic === "error" && replyTopic !== "error");
}

function errorOfReply(topic: string, message: unknown): IpcError {
    const reply: { code?: unknown; text?: unknown; data?: unknown } =
        typeof message === "object" && message !== null ? message : {};
    const code = typeof reply.code === "string" ? reply.code : "failed";
    const text = typeof reply.text === "string" ? reply.text : "";
    if (reply.data !== undefined) {
        return new FailedError(topic, text, reply.data as never);
    }
    switch (code) {
        case "no_responder":
            return new IpcError("NO_RESPONDER", `the server has no responder for \`${topic}\``, topic);
        case "undecodable":
            return new IpcError(
                "UNDECODABLE",
                `the server can't decode the request of \`${topic}\`${afterColon(text)}`,
                topic,
            );
        case "panicked":
            return new IpcError("PANICKED", `the responder of \`${topic}\` panicked`, topic);
        default:
            return new RejectedError(topic, code, text);
    }
}

// ---- JSON without silent losses ----

/** The deepest nesting that a server takes. */
const MAX_DEPTH = 127;

/** What has no members that JSON could hold, though it is an object: as one it would be sent without its content. */
const NOT_OBJECTS =
    /^(?:(?:Weak)?(?:Map|Set)|Promise|RegExp|(?:Shared)?ArrayBuffer|DataView|\w+Array|Number|String|Boolean)$/;

/** Matches half of a surrogate pair. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** What is wrong with a value. */
interface Flaw {
    code: ErrorCode;
    text: string;
}

class FlawError extends Error {
    readonly code: ErrorCode;

    constructor(code: ErrorCode, text: string) {
        super(text);
        this.code = code;
    }
}

/**
 * Writes a value as JSON text. Unlike `JSON.stringify` it takes `bigint`, and throws where that would write another
 * value: for NaN, for integers that are not exact, for lone surrogates.
 */
function toJson(value: unknown, path: (string | number)[] = []): string {
    switch (typeof value) {
        case "string":
            if (LONE_SURROGATE.test(value)) {
                throw new FlawError(
                    "LONE_SURROGATE",
                    `${place(path)} holds a lone surrogate, which UTF-8 has no bytes for`,
                );
            }
            return JSON.stringify(value);
        case "number":
            if (!Number.isFinite(value)) {
                throw new FlawError("NOT_JSON", `${place(path)} is ${value}, which JSON cannot represent`);
            }
            // From 1e21 on it is written with an exponent, which nobody takes for an integer.
            if (Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21) {
                throw new FlawError(
                    "UNSAFE_INTEGER",
                    `${place(path)} is ${value}, and may stand for another integer; use a bigint`,
                );
            }
            return JSON.stringify(value);
        case "bigint":
        case "boolean":
            return String(value);
        case "object":
            break;
        default:
            throw new FlawError("NOT_JSON", `${place(path)} is a value of the type ${typeof value}`);
    }
    if (value === null) {
        return "null";
    }
    if (path.length >= MAX_DEPTH) {
        throw new FlawError("NOT_JSON", `the message is nested deeper than ${MAX_DEPTH} levels`);
    }
    if (Array.isArray(value)) {
        // Unlike `map` it does not skip the holes.
        const items = Array.from(value, (item, index) => {
            path.push(index);
            const text = toJson(item, path);
            path.pop();
            return text;
        });
        return `[${items.join(",")}]`;
    }
    if ("toJSON" in value && typeof value.toJSON === "function") {
        return toJson(value.toJSON(), path);
    }
    const kind = Object.prototype.toString.call(value).slice("[object ".length, -1);
    if (NOT_OBJECTS.test(kind)) {
        throw new FlawError("NOT_JSON", `${place(path)} is a ${kind}, which JSON cannot represent`);
    }
    const members: string[] = [];
    for (const [key, member] of Object.entries(value)) {
        if (member !== undefined) {
            path.push(key);
            members.push(`${toJson(key, path)}:${toJson(member, path)}`);
            path.pop();
        }
    }
    return `{${members.join(",")}}`;
}

/** `points[3].y` */
function place(path: (string | number)[]): string {
    const steps = path.map((step, index) =>
        typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`,
    );
    return steps.join("") || "the message";
}

/**
 * Matches text in which `JSON.parse` may lose something: the digits of a long integer, a number beyond the largest one, or
 * a lone surrogate.
 */
const MAY_LOSE = /\d{16}|[:,[\s]-?[\d.]+[eE]\+?0*[1-9]\d\d|\\u[dD][89a-fA-F]/;

/** Reads JSON text. `flaw` says what `value` lost, if it lost something. */
function fromJson(text: string): { value: unknown; flaw: Flaw | undefined } {
    if (!SERVER.bigint && !MAY_LOSE.test(text)) {
        return { value: JSON.parse(text), flaw: undefined };
    }
    const reader = new JsonReader(text);
    return { value: reader.whole(), flaw: reader.flaw };
}

/** A reader that sees integers as they are written, which `JSON.parse` does not show. */
class JsonReader {
    flaw: Flaw | undefined;
    private readonly text: string;
    private at = 0;
    private depth = 0;

    constructor(text: string) {
        this.text = text;
    }

    whole(): unknown {
        const value = this.value();
        if (this.peek() !== undefined) {
            throw this.unexpected();
        }
        return value;
    }

    private value(): unknown {
        switch (this.peek()) {
            case "{":
                return this.object();
            case "[":
                return this.array();
            case '"':
                return this.string();
            case "t":
                return this.word("true", true);
            case "f":
                return this.word("false", false);
            case "n":
                return this.word("null", null);
            default:
                return this.number();
        }
    }

    private object(): unknown {
        const object = {};
        this.list("}", () => {
            if (this.peek() !== '"') {
                throw this.unexpected();
            }
            const key = this.string();
            this.expect(":");
            // An assignment to `__proto__` would be no member.
            Object.defineProperty(object, key, {
                value: this.value(),
                enumerable: true,
                configurable: true,
                writable: true,
            });
        });
        return object;
    }

    private array(): unknown[] {
        const items: unknown[] = [];
        this.list("]", () => items.push(this.value()));
        return items;
    }

    private list(end: string, member: () => void): void {
        this.at += 1;
        this.depth += 1;
        if (this.depth > MAX_DEPTH + 1) {
            throw new SyntaxError(`nested deeper than ${MAX_DEPTH} levels`);
        }
        if (this.peek() === end) {
            this.at += 1;
        } else {
            do {
                member();
            } while (this.next(end) === ",");
        }
        this.depth -= 1;
    }

    /** The comma between two members, or the end behind the last one. */
    private next(end: string): string {
        const found = this.peek();
        if (found !== "," && found !== end) {
            throw this.unexpected();
        }
        this.at += 1;
        return found;
    }

    private string(): string {
        let end = this.at + 1;
        for (; this.text[end] !== '"'; end += this.text[end] === "\\" ? 2 : 1) {
            if (end >= this.text.length) {
                throw new SyntaxError("a text has no end");
            }
        }
        const text: string = JSON.parse(this.text.slice(this.at, end + 1));
        this.at = end + 1;
        if (LONE_SURROGATE.test(text)) {
            this.flaw ??= { code: "LONE_SURROGATE", text: "a text in it holds a lone surrogate" };
        }
        return text;
    }

    private number(): number | bigint {
        const pattern = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
        pattern.lastIndex = this.at;
        const found = pattern.exec(this.text);
        if (found === null) {
            throw this.unexpected();
        }
        this.at = pattern.lastIndex;
        const [digits, fraction, exponent] = found;
        if (fraction !== undefined || exponent !== undefined) {
            const number = Number(digits);
            if (!Number.isFinite(number)) {
                const written = digits.length > 50 ? `${digits.slice(0, 50)}…` : digits;
                this.flaw ??= { code: "NOT_JSON", text: `the number ${written} in it is beyond the largest one` };
            }
            return number;
        }
        if (SERVER.bigint) {
            return BigInt(digits);
        }
        const number = Number(digits);
        if (!Number.isSafeInteger(number)) {
            this.flaw ??= {
                code: "UNSAFE_INTEGER",
                text: `the integer ${digits} in it is beyond what a number holds exactly; generate the client with bigints`,
            };
        }
        return number;
    }

    private word<T>(word: string, value: T): T {
        if (!this.text.startsWith(word, this.at)) {
            throw this.unexpected();
        }
        this.at += word.length;
        return value;
    }

    private expect(character: string): void {
        if (this.peek() !== character) {
            throw this.unexpected();
        }
        this.at += 1;
    }

    /** The next character that is no white space. */
    private peek(): string | undefined {
        while (" \t\n\r".includes(this.text[this.at] ?? "the end")) {
            this.at += 1;
        }
        return this.text[this.at];
    }

    private unexpected(): SyntaxError {
        const found = this.text[this.at];
        return new SyntaxError(
            found === undefined
                ? "the text ends too early"
                : `unexpected ${JSON.stringify(found)} at ${this.at}`,
        );
    }
}

// ---- Envelopes ----

/** The keys of an envelope that mean something. */
interface Envelope {
    topic: string;
    message: unknown;
    id: unknown;
    re: unknown;
    error: boolean;
    started: boolean;
    more: boolean;
    hasWindow: boolean;
    /** What the message lost where it was read, if it lost something. */
    flaw: Flaw | undefined;
    /** The length of its line, in bytes. */
    length: number;
}

/** What an item takes of its window at least, in bytes. */
const ITEM_COST = 64;

const DELIMITER = Buffer.from(SERVER.delimiter);
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Characters that many programs take for the end of a line. */
const LINE_ENDS = /[\u0085\u2028\u2029]/g;

const BLANK = /^[ \t\r\n]*$/;

/** The bytes of an envelope, with the delimiter. */
function encode(topic: string, message: unknown, keys: Record<string, unknown> = {}): Buffer {
    let text: string;
    try {
        const others = Object.entries(keys).filter(([, value]) => value !== undefined);
        const written = others.map(([key, value]) => `,${JSON.stringify(key)}:${toJson(value)}`);
        text = `{"topic":${toJson(topic)},${JSON.stringify(SERVER.messageKey)}:${toJson(message ?? null)}${written.join("")}}`;
    } catch (error) {
        if (error instanceof FlawError) {
            throw new IpcError(error.code, `cannot send \`${topic}\`: ${error.message}`, topic);
        }
        throw error;
    }
    // The delimiter may stand in a text of the message. There an escape of its first character is the same text.
    if (text.includes(SERVER.delimiter)) {
        // A function, because a text that replaces has a meaning of its own for `$`.
        text = text.replaceAll(SERVER.delimiter, () => escaped(SERVER.delimiter) + SERVER.delimiter.slice(1));
    }
    if (SERVER.delimiter.includes("\n")) {
        text = text.replace(LINE_ENDS, escaped);
    }
    const line = Buffer.from(text + SERVER.delimiter);
    const length = line.length - DELIMITER.length;
    // The server takes replies and control lines whatever the length of their topic.
    const isReply = (keys["re"] ?? null) !== null;
    if (length > SERVER.maxMessageLen || (!isReply && Buffer.byteLength(topic) > SERVER.maxTopicLen)) {
        const what =
            length > SERVER.maxMessageLen
                ? `${length} bytes, more than the ${SERVER.maxMessageLen}`
                : `its topic, longer than the ${SERVER.maxTopicLen} bytes`;
        throw new IpcError(
            "TOO_LARGE",
            `cannot send \`${topic.slice(0, 100)}\`: it has ${what} that the server takes`,
            topic,
        );
    }
    return line;
}

function escaped(text: string): string {
    return `\\u${text.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Reads an envelope. `undefined` is a blank line. */
function decode(line: Buffer): Envelope | undefined {
    let read: { value: unknown; flaw: Flaw | undefined };
    let text: string;
    try {
        text = UTF8.decode(line);
        if (BLANK.test(text)) {
            return undefined;
        }
        read = fromJson(text);
    } catch (error) {
        throw new IpcError("MALFORMED", `received ${line.length} bytes that are not JSON: ${textOf(error)}`);
    }
    const { value, flaw } = read;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
        throw new IpcError("MALFORMED", `received JSON that is not an envelope: ${text.slice(0, 100)}`);
    }
    const keys = value as Record<string, unknown>;
    if (typeof keys["topic"] !== "string") {
        throw new IpcError("MALFORMED", `received an envelope without a topic: ${text.slice(0, 100)}`);
    }
    return {
        topic: keys["topic"] || "none",
        message: keys[SERVER.messageKey] ?? null,
        id: keys["id"],
        re: keys["re"],
        error: keys["error"] === true,
        started: keys["started"] === true,
        more: keys["more"] === true,
        hasWindow: "window" in keys,
        flaw,
        length: line.length,
    };
}

/** The longest id of a request, in bytes; the quotes of a text do not count. */
const MAX_ID_LEN = 64;

/** The id of a request as a key: as the request has written it. `undefined` where no reply can repeat it. */
function idKey(id: unknown): string | undefined {
    if (typeof id === "string") {
        const key = JSON.stringify(id);
        const isId = !LONE_SURROGATE.test(id) && Buffer.byteLength(key) <= MAX_ID_LEN + 2;
        return isId ? key : undefined;
    }
    const key = typeof id === "bigint" || Number.isSafeInteger(id) ? String(id) : undefined;
    return key !== undefined && key.length <= MAX_ID_LEN ? key : undefined;
}

/**
 * What the reply to a request says as `re`. Without an id it is `null`, where replies have a topic of their own: listeners
 * get such a reply. Where they have none, nobody gets it: `undefined`.
 */
function replyTo({ topic, id }: Envelope): unknown {
    return id === undefined && SERVER.replyTopicsOfClient.has(topic) ? null : id;
}

/** Cuts what arrives at the bytes of the delimiter. It holds one message at most. */
class Framer {
    private buffer = Buffer.allocUnsafe(64 * 1024);
    private end = 0;
    private isSkipping = false;

    /** Whether a message has begun and not ended. */
    get isIncomplete(): boolean {
        return this.end > 0 || this.isSkipping;
    }

    /**
     * Calls `line` with each complete message, and `tooLong` once for each that is longer than the limit. Returns how many
     * have ended.
     */
    push(chunk: Buffer, line: (bytes: Buffer) => void, tooLong: () => void): number {
        this.reserve(chunk.length);
        // The delimiter may have begun in what was there before.
        let searched = Math.max(0, this.end - DELIMITER.length + 1);
        this.end += chunk.copy(this.buffer, this.end);
        const received = this.buffer.subarray(0, this.end);
        let start = 0;
        let ended = 0;
        for (let found; (found = received.indexOf(DELIMITER, searched)) !== -1;) {
            if (this.isSkipping) {
                this.isSkipping = false;
            } else if (found - start > SERVER.maxMessageLen) {
                tooLong();
            } else {
                line(received.subarray(start, found));
            }
            start = searched = found + DELIMITER.length;
            ended += 1;
        }
        let rest = received.subarray(start);
        if (!this.isSkipping && rest.length > SERVER.maxMessageLen + DELIMITER.length) {
            this.isSkipping = true;
            tooLong();
        }
        if (this.isSkipping) {
            rest = rest.subarray(Math.max(0, rest.length - DELIMITER.length + 1));
        }
        this.end = rest.copy(this.buffer, 0);
        if (this.end === 0 && this.buffer.length > 1024 * 1024) {
            this.buffer = Buffer.allocUnsafe(64 * 1024);
        }
        return ended;
    }

    private reserve(length: number): void {
        if (this.end + length > this.buffer.length) {
            const larger = Buffer.allocUnsafe(2 * (this.end + length));
            this.buffer.copy(larger, 0, 0, this.end);
            this.buffer = larger;
        }
    }
}

/** A queue whose ends are both cheap. */
class Queue<T> {
    private items: T[] = [];
    private head = 0;

    get length(): number {
        return this.items.length - this.head;
    }

    push(item: T): void {
        this.items.push(item);
    }

    first(): T | undefined {
        return this.items[this.head];
    }

    shift(): T | undefined {
        const item = this.items[this.head];
        if (this.head < this.items.length) {
            this.head += 1;
        }
        if (this.head > 1024 && 2 * this.head > this.items.length) {
            this.items = this.items.slice(this.head);
            this.head = 0;
        }
        return item;
    }

    removeIf(isRemoved: (item: T) => boolean): void {
        this.items = this.items.slice(this.head).filter((item) => !isRemoved(item));
        this.head = 0;
    }
}

// ---- Streams ----

/**
 * The items of a stream, for `for await`. Leaving the loop cancels the stream: the server then drops its responder.
 *
 * At most a window of items lies unread. The server sends no more until the loop has taken some.
 */
export class ReplyStream<T> implements AsyncIterableIterator<T> {
    private readonly topic: string;
    private readonly window: number;
    private readonly link: StreamLink;
    private readonly items = new Queue<{ item: T; cost: number }>();
    private readonly waiting: {
        resolve: (result: IteratorResult<T>) => void;
        reject: (error: unknown) => void;
    }[] = [];
    /** What the server may still send. */
    private left: number;
    /** What was taken since the window was renewed. */
    private taken = 0;
    private hasBegun = false;
    private isOver = false;
    private error: unknown;
    private hasError = false;

    /** `stream` of the client makes it. */
    constructor(topic: string, window: number, link: StreamLink) {
        this.topic = topic;
        this.window = window;
        this.left = window;
        this.link = link;
    }

    [Symbol.asyncIterator](): this {
        return this;
    }

    /** The next item. It rejects once with what the stream failed with, behind the items that came before. */
    next(): Promise<IteratorResult<T>> {
        const first = this.items.shift();
        if (first !== undefined) {
            this.take(first.cost);
            return Promise.resolve({ done: false, value: first.item });
        }
        if (this.hasError) {
            this.hasError = false;
            return Promise.reject(this.error);
        }
        if (this.isOver) {
            return Promise.resolve({ done: true, value: undefined });
        }
        return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
    }

    /** Cancels the stream. Leaving a `for await` loop calls it. */
    return(): Promise<IteratorResult<T>> {
        if (!this.isOver) {
            this.link.cancel();
            this.end();
        }
        this.items.removeIf(() => true);
        this.hasError = false;
        return Promise.resolve({ done: true, value: undefined });
    }

    /** @internal */
    receive(envelope: Envelope): void {
        if (this.isOver) {
            return;
        }
        if (envelope.flaw !== undefined) {
            this.link.cancel();
            this.fail(
                new IpcError(
                    envelope.flaw.code,
                    `cannot receive an item of \`${this.topic}\`: ${envelope.flaw.text}`,
                    this.topic,
                ),
            );
        } else if (isErrorReply(envelope, this.topic)) {
            this.fail(errorOfReply(this.topic, envelope.message));
        } else if (envelope.started) {
            this.begin();
        } else if (envelope.more) {
            this.begin();
            this.add(envelope);
        } else if (this.hasBegun) {
            this.end();
        } else {
            this.fail(
                new IpcError(
                    "NOT_A_STREAM",
                    `\`${this.topic}\` is no stream: the server sent a single reply; use \`request\``,
                    this.topic,
                ),
            );
        }
    }

    /** @internal */
    fail(error: unknown): void {
        if (this.isOver) {
            return;
        }
        const first = this.waiting.shift();
        if (first === undefined) {
            this.error = error;
            this.hasError = true;
        } else {
            first.reject(error);
        }
        this.end();
    }

    private begin(): void {
        if (!this.hasBegun) {
            this.hasBegun = true;
            this.link.begun();
        }
    }

    private add(envelope: Envelope): void {
        const cost = Math.max(envelope.length, ITEM_COST);
        if (this.left <= 0 || envelope.length > this.window) {
            this.link.cancel();
            this.fail(
                new IpcError(
                    "WINDOW_EXCEEDED",
                    `an item of \`${this.topic}\`, of ${envelope.length} bytes, is beyond the window of ${this.window} bytes`,
                    this.topic,
                ),
            );
            return;
        }
        this.left -= cost;
        const item = envelope.message as T;
        const first = this.waiting.shift();
        if (first === undefined) {
            this.items.push({ item, cost });
        } else {
            this.take(cost);
            first.resolve({ done: false, value: item });
        }
    }

    private take(cost: number): void {
        this.taken += cost;
        if (!this.isOver && 2 * this.taken >= this.window) {
            this.left += this.taken;
            this.link.renew(this.taken);
            this.taken = 0;
        }
    }

    private end(): void {
        this.isOver = true;
        this.link.over();
        for (const { resolve } of this.waiting.splice(0)) {
            resolve({ done: true, value: undefined });
        }
    }
}

/** What a stream needs of its connection. */
interface StreamLink {
    /** It has begun. */
    begun(): void;
    renew(bytes: number): void;
    cancel(): void;
    /** Nothing more is expected. */
    over(): void;
}

// ---- One connection ----

/** What a responder gets beside the request. */
export interface ResponderContext<T> {
    /** Aborted when the server gives up the request, or the connection ends. */
    readonly signal: AbortSignal;
    /** Fails with the typed error of the topic, and a text for people. */
    fail(error: T extends keyof Errors ? Errors[T] : never, text?: string): never;
    /** Fails with a code for programs, and a text for people. So does an error that is thrown: its code is `failed`. */
    reject(code: string, text: string): never;
}

/** What `context.fail` and `context.reject` throw. */
class Failure extends Error {
    readonly reply: { code: string; text: string; data?: unknown };

    constructor(reply: { code: string; text: string; data?: unknown }) {
        super(reply.text);
        this.reply = reply;
    }
}

type Listener = (message: any) => unknown;
type Responder = (message: any, context: ResponderContext<any>) => unknown;

/** A request that has no reply yet. */
interface Pending {
    receive(envelope: Envelope): void;
    fail(error: IpcError): void;
}

/** What a connection needs of its client. */
interface Owner {
    readonly path: string;
    readonly limits: Limits;
    readonly listeners: Map<string, Set<Listener>>;
    readonly responders: Map<string, Responder>;
    emit<E extends keyof ClientEvents>(event: E, ...values: ClientEvents[E]): void;
    /** An error that nobody awaits. */
    report(error: unknown): void;
    countLate(): void;
}

interface Limits {
    outboxLen: number;
    maxRequests: number;
    writeStall: number;
    incompleteTimeout: number;
}

/** Above this many queued bytes `sendAsync` waits. */
const HIGH_WATER = 64 * 1024;
/** How many times `outboxLen` the replies of responders may take that run already. */
const REPLY_FACTOR = 8;
/** How many bytes of messages may wait for a listener or a responder until the socket is read no further. */
const READ_AHEAD = 1024 * 1024;

/** How long a listener may delay the messages behind it, and the next connection, after its connection has ended. */
const LISTENER_TIMEOUT = 5000;

/** One connection, from its beginning to its end. Nothing of it reaches the next one. */
class Connection {
    readonly closed: Promise<void>;
    private readonly socket: net.Socket;
    private readonly owner: Owner;
    private readonly framer = new Framer();
    private readonly watch: NodeJS.Timeout;

    private readonly outbox = new Queue<Buffer>();
    private outboxLen = 0;
    private isWriting = false;
    private lastWritten = 0;
    private readonly senders = new Queue<{ line: Buffer; settle: (error?: IpcError) => void }>();
    private flushers: { resolve: () => void; reject: (error: unknown) => void }[] = [];

    private nextId = 1;
    private readonly pending = new Map<number, Pending>();
    private readonly running = new Map<string, Set<AbortController>>();
    private runningCount = 0;
    private readonly held = new Queue<Envelope>();
    private heldLen = 0;
    /** The promise of a listener has not settled: further listeners and messages wait for it. */
    private isListening = false;
    /** The other listeners of its message. */
    private waiting: Listener[] = [];
    /** After the end: gives up the listener that is waited for. */
    private listenerTimer: NodeJS.Timeout | undefined;
    /** Whether a message was ever received. */
    private hasReceived = false;
    /** When the first byte of the message came that is not complete, or when reading went on after a pause. */
    private incompleteSince: number | undefined;
    private isClosing = false;
    private end: IpcError | undefined;
    /** Resolves `closed`. */
    private over: () => void = () => {};

    constructor(socket: net.Socket, owner: Owner) {
        this.socket = socket;
        this.owner = owner;
        this.watch = setInterval(() => this.check(), 1000);
        this.watch.unref();
        let failure: unknown;
        socket.on("data", (chunk: Buffer) => this.receive(chunk));
        socket.on("error", (error) => (failure = error));
        this.closed = new Promise((resolve) => (this.over = resolve));
        socket.on("close", () => this.finish(failure));
    }

    /** Why it ended; `undefined` while it is open. */
    get reason(): IpcError | undefined {
        return this.end;
    }

    /** What an error asks while no message was ever received. */
    private get doubt(): string {
        return this.hasReceived ? "" : ": does the server speak another wire?";
    }

    // Sending.

    /** Queues a line. Returns whether less is queued than makes `sendAsync` wait. */
    send(line: Buffer, topic: string): boolean {
        if (this.end !== undefined) {
            throw new IpcError(
                "NOT_CONNECTED",
                `cannot send \`${topic}\`: not connected to ${this.owner.path}`,
                topic,
            );
        }
        if (this.outboxLen > 0 && this.outboxLen + line.length > this.owner.limits.outboxLen) {
            throw new IpcError(
                "OUTBOX_FULL",
                `cannot send \`${topic}\`: ${this.outboxLen} bytes are queued, and \`outboxLen\` allows ${this.owner.limits.outboxLen}; use \`sendAsync\``,
                topic,
            );
        }
        this.queue(line);
        return this.outboxLen < HIGH_WATER;
    }

    /** Queues a line once there is room, behind those that wait already. */
    sendAsync(line: Buffer, topic: string, signal: AbortSignal | undefined): Promise<void> {
        return new Promise((resolve, reject) => {
            signal?.throwIfAborted();
            if (this.end !== undefined || (this.senders.length === 0 && this.outboxLen < HIGH_WATER)) {
                this.send(line, topic);
                resolve();
                return;
            }
            const abort = () => {
                this.senders.removeIf((other) => other === sender);
                reject(signal?.reason);
            };
            const sender = {
                line,
                settle: (error?: IpcError) => {
                    signal?.removeEventListener("abort", abort);
                    error === undefined ? resolve() : reject(error);
                },
            };
            signal?.addEventListener("abort", abort, { once: true });
            this.senders.push(sender);
        });
    }

    /** Resolves when everything that is queued was handed to the system. */
    flush(): Promise<void> {
        if (this.outboxLen === 0 && this.senders.length === 0) {
            return Promise.resolve();
        }
        if (this.end !== undefined) {
            return Promise.reject(this.end);
        }
        return new Promise((resolve, reject) => this.flushers.push({ resolve, reject }));
    }

    private queue(line: Buffer): void {
        if (this.outboxLen === 0) {
            this.lastWritten = performance.now();
        }
        this.outbox.push(line);
        this.outboxLen += line.length;
        if (!this.isWriting) {
            this.isWriting = true;
            // What is sent in one go becomes one write.
            queueMicrotask(() => this.write());
        }
    }

    private write(): void {
        const chunk: Buffer[] = [];
        let length = 0;
        for (let first; length < HIGH_WATER && (first = this.outbox.shift()) !== undefined;) {
            chunk.push(first);
            length += first.length;
        }
        if (length === 0 || this.end !== undefined) {
            this.isWriting = false;
            return;
        }
        this.writePieces(Buffer.concat(chunk, length), 0);
    }

    /** Writes in pieces, so that progress shows while the server reads slowly. */
    private writePieces(bytes: Buffer, start: number): void {
        const piece = bytes.subarray(start, start + HIGH_WATER);
        this.socket.write(piece, (error) => {
            if (error) {
                return; // The end of the connection reports it.
            }
            this.lastWritten = performance.now();
            this.outboxLen -= piece.length;
            this.admit();
            if (start + piece.length < bytes.length) {
                this.writePieces(bytes, start + piece.length);
            } else {
                this.write();
            }
        });
    }

    /** There is room: those who wait for it send, and requests that were held are dispatched. */
    private admit(): void {
        for (let first; this.outboxLen < HIGH_WATER && (first = this.senders.shift()) !== undefined;) {
            this.queue(first.line);
            first.settle();
        }
        if (this.outboxLen === 0) {
            this.flushers.splice(0).forEach(({ resolve }) => resolve());
        }
        this.dispatchHeld();
    }

    // Requests of this client.

    request(
        topic: string,
        message: unknown,
        timeout: number,
        signal: AbortSignal | undefined,
    ): Promise<unknown> {
        return new Promise((resolve, reject) => {
            const { id, over, cancel } = this.begin(topic, timeout, signal, reject);
            const fail = (error: unknown) => {
                over();
                reject(error);
            };
            this.pending.set(id, {
                fail,
                receive: (envelope) => {
                    over();
                    if (envelope.flaw !== undefined) {
                        reject(
                            new IpcError(
                                envelope.flaw.code,
                                `cannot receive the reply to \`${topic}\`: ${envelope.flaw.text}`,
                                topic,
                            ),
                        );
                    } else if (isErrorReply(envelope, SERVER.replyTopics.get(topic) ?? topic)) {
                        reject(errorOfReply(topic, envelope.message));
                    } else if (envelope.started || envelope.more) {
                        cancel();
                        reject(
                            new IpcError(
                                "IS_A_STREAM",
                                `\`${topic}\` is a stream: use \`stream\`, not \`request\``,
                                topic,
                            ),
                        );
                    } else {
                        resolve(envelope.message);
                    }
                },
            });
            this.sendRequest(id, over, () => encode(topic, message, { id }), topic);
        });
    }

    stream<T>(
        topic: string,
        message: unknown,
        window: number,
        timeout: number,
        signal: AbortSignal | undefined,
    ): ReplyStream<T> {
        const { id, over, cancel, begun } = this.begin(topic, timeout, signal, (error) => stream.fail(error));
        const stream = new ReplyStream<T>(topic, window, {
            begun,
            renew: (bytes) => this.control("socket-ipc.more", [id, bytes]),
            cancel,
            over,
        });
        this.pending.set(id, {
            fail: (error) => stream.fail(error),
            receive: (envelope) => stream.receive(envelope),
        });
        this.sendRequest(
            id,
            over,
            () => encode(topic, message, { window: Number.isFinite(window) ? window : null, id }),
            topic,
        );
        return stream;
    }

    /** The id of a request, and what ends it early. */
    private begin(
        topic: string,
        timeout: number,
        signal: AbortSignal | undefined,
        fail: (error: unknown) => void,
    ) {
        signal?.throwIfAborted();
        if (this.pending.size >= this.owner.limits.maxRequests) {
            throw new IpcError(
                "TOO_MANY_REQUESTS",
                `cannot request \`${topic}\`: ${this.pending.size} requests are pending, the most that \`maxRequests\` allows`,
                topic,
            );
        }
        const id = this.nextId++;
        const cancel = () => this.control("socket-ipc.cancel", id);
        const giveUp = (error: unknown) => {
            over();
            cancel();
            fail(error);
        };
        const abort = () => giveUp(signal?.reason);
        const timer = after(timeout, () =>
            giveUp(
                new IpcError("TIMEOUT", `no reply to \`${topic}\` within ${timeout} ms${this.doubt}`, topic),
            ),
        );
        const begun = () => clearTimeout(timer);
        const over = () => {
            clearTimeout(timer);
            signal?.removeEventListener("abort", abort);
            this.pending.delete(id);
        };
        signal?.addEventListener("abort", abort, { once: true });
        return { id, over, cancel, begun };
    }

    private sendRequest(id: number, over: () => void, line: () => Buffer, topic: string): void {
        try {
            this.send(line(), topic);
        } catch (error) {
            over();
            throw error;
        }
        this.pace();
    }

    /** Sends a control line. It has room beyond `outboxLen`: a request or a window is behind each. */
    private control(topic: string, message: unknown): void {
        if (SERVER.hasControlLines && this.end === undefined) {
            this.queue(encode(topic, message, { re: 0 }));
        }
    }

    // Receiving.

    private receive(chunk: Buffer): void {
        const wasIncomplete = this.framer.isIncomplete;
        const ended = this.framer.push(
            chunk,
            (bytes) => this.line(bytes),
            () =>
                this.owner.emit(
                    "messageError",
                    new IpcError(
                        "TOO_LARGE",
                        `received a message of more than ${SERVER.maxMessageLen} bytes; it was skipped`,
                    ),
                ),
        );
        if (!this.framer.isIncomplete) {
            this.incompleteSince = undefined;
        } else if (ended > 0 || !wasIncomplete) {
            this.incompleteSince = performance.now();
        }
        this.pace();
    }

    /** Reads no further while much is held, and on when it was dispatched, or when a reply may be behind it. */
    private pace(): void {
        const mayHold = READ_AHEAD + (this.pending.size > 0 ? SERVER.maxMessageLen : 0);
        const isFull = this.heldLen > mayHold;
        if (isFull === this.socket.isPaused()) {
            return;
        }
        if (isFull) {
            this.socket.pause();
        } else {
            this.resume();
        }
    }

    private resume(): void {
        // While nothing was read, the server could not complete a message.
        this.incompleteSince = this.framer.isIncomplete ? performance.now() : undefined;
        this.socket.resume();
    }

    private line(bytes: Buffer): void {
        let envelope: Envelope | undefined;
        try {
            envelope = decode(bytes);
        } catch (error) {
            const { code, message } = error as IpcError;
            this.owner.emit("messageError", new IpcError(code, message + this.doubt));
            return;
        }
        if (envelope === undefined) {
            return;
        }
        this.hasReceived = true;
        if (envelope.re === undefined || envelope.re === null) {
            this.hold(envelope);
            return;
        }
        // The ids of this client are numbers. Of anything else `Number` may make one, or throw.
        const isNumber = typeof envelope.re === "number" || typeof envelope.re === "bigint";
        const re = isNumber ? Number(envelope.re) : NaN;
        if (re === 0) {
            this.controlled(envelope);
        } else {
            const pending = this.pending.get(re);
            pending === undefined ? this.owner.countLate() : pending.receive(envelope);
        }
    }

    /** A control line of the server. It passes the messages that are held. */
    private controlled({ topic, message }: Envelope): void {
        const key = idKey(message);
        if (topic === "socket-ipc.cancel" && key !== undefined) {
            this.held.removeIf((held) => {
                const isCancelled = this.isRequest(held) && idKey(held.id) === key;
                this.heldLen -= isCancelled ? held.length : 0;
                return isCancelled;
            });
            for (const controller of [...(this.running.get(key) ?? [])]) {
                controller.abort(new IpcError("CANCELLED", "the server gave up the request"));
            }
            // What is behind a request that was held may be dispatched now.
            this.dispatchHeld();
        }
    }

    /** Dispatches a message, or holds it behind those that wait. */
    private hold(envelope: Envelope): void {
        if (this.held.length === 0 && this.mayDispatch(envelope)) {
            this.dispatch(envelope);
        } else {
            this.held.push(envelope);
            this.heldLen += envelope.length;
        }
    }

    private dispatchHeld(): void {
        for (
            let first;
            (first = this.held.first()) !== undefined && !this.isOver && this.mayDispatch(first);
        ) {
            this.held.shift();
            this.heldLen -= first.length;
            this.dispatch(first);
        }
        if (this.end === undefined) {
            this.pace();
        } else if (this.isOver || (this.held.length === 0 && this.waiting.length === 0)) {
            this.waiting = [];
            clearTimeout(this.listenerTimer);
            this.over();
        }
    }

    /** Whether nothing is dispatched any more. What came before the server ended the connection still is. */
    private get isOver(): boolean {
        return this.end !== undefined && this.isClosing;
    }

    private mayDispatch(envelope: Envelope): boolean {
        const isFree = this.runningCount < this.owner.limits.maxRequests && this.outboxLen < HIGH_WATER;
        const isResponder = this.end === undefined && this.isRequest(envelope);
        return !this.isListening && (isFree || !isResponder);
    }

    /** `re` is `null` in a reply to a request without an id, which no responder is called for. */
    private isRequest({ topic, id, re }: Envelope): boolean {
        return re === undefined && (idKey(id) !== undefined || this.owner.responders.has(topic));
    }

    private dispatch(envelope: Envelope): void {
        const { topic, id, flaw } = envelope;
        const isRequest = this.isRequest(envelope);
        if (isRequest && id !== undefined && idKey(id) === undefined) {
            const text = `received \`${topic}\` with an id that is none: no integer, and no text of at most ${MAX_ID_LEN} bytes`;
            this.owner.emit("messageError", new IpcError("MALFORMED", text, topic));
            return;
        }
        if (flaw !== undefined) {
            const error = new IpcError(flaw.code, `cannot receive \`${topic}\`: ${flaw.text}`, topic);
            this.owner.emit("messageError", error);
            if (isRequest) {
                this.replyError(envelope, { code: "undecodable", text: error.message });
            }
            return;
        }
        // Nobody waits any more for the reply to a request whose connection has ended.
        if (isRequest && (id === undefined || this.end === undefined)) {
            this.respond(envelope);
        }
        this.listen([...(this.owner.listeners.get(topic) ?? [])], envelope);
    }

    /** Calls listeners one after the other: each waits for the promise of the one before it. */
    private listen(listeners: Listener[], envelope: Envelope): void {
        for (const [index, listener] of listeners.entries()) {
            if (this.owner.listeners.get(envelope.topic)?.has(listener) !== true) {
                continue; // It was removed meanwhile.
            }
            try {
                const returned = listener(envelope.message);
                if (returned instanceof Promise) {
                    this.waiting = listeners.slice(index + 1);
                    this.isListening = true;
                    returned
                        .catch((error) => this.owner.report(error))
                        .finally(() => {
                            const next = this.waiting;
                            this.waiting = [];
                            this.isListening = false;
                            this.watchListener();
                            this.listen(next, envelope);
                            this.dispatchHeld();
                        });
                    return;
                }
            } catch (error) {
                this.owner.report(error);
            }
        }
    }

    // Requests of the server.

    private respond(envelope: Envelope): void {
        const { topic, message, id } = envelope;
        const responder = this.owner.responders.get(topic);
        if (responder === undefined) {
            this.replyError(envelope, { code: "no_responder", text: `no responder for \`${topic}\`` });
            return;
        }
        if (envelope.hasWindow && id !== undefined) {
            this.replyError(envelope, {
                code: "stream",
                text: `\`${topic}\` has a single reply: request it without a window`,
            });
            return;
        }
        const controller = new AbortController();
        const key = idKey(id) ?? "";
        const running = this.running.get(key) ?? new Set();
        this.running.set(key, running.add(controller));
        this.runningCount += 1;
        const release = () => {
            if (running.delete(controller)) {
                if (running.size === 0) {
                    this.running.delete(key);
                }
                this.runningCount -= 1;
                this.dispatchHeld();
            }
        };
        // A responder that goes on after it was cancelled takes no place. Released in a later turn, so that requests
        // with their cancels behind them begin no more responders in one turn than there are places.
        controller.signal.addEventListener("abort", () => setImmediate(release), { once: true });
        if (this.end !== undefined) {
            controller.abort(this.end);
        }
        const context: ResponderContext<any> = {
            signal: controller.signal,
            fail: (data, text = "") => {
                throw new Failure({ code: "failed", text, data });
            },
            reject: (code, text) => {
                throw new Failure({ code, text });
            },
        };
        // It begins at once, before the message behind it is dispatched. What it throws rejects the promise.
        new Promise<unknown>((resolve) => resolve(responder(message, context)))
            .then(
                (reply) => this.reply(controller, envelope, reply),
                (error) =>
                    this.replyError(
                        envelope,
                        error instanceof Failure ? error.reply : { code: "failed", text: textOf(error) },
                        controller,
                    ),
            )
            .finally(release);
    }

    private reply(controller: AbortController, envelope: Envelope, reply: unknown): void {
        const re = replyTo(envelope);
        if (re === undefined || controller.signal.aborted || this.end !== undefined) {
            return;
        }
        try {
            const { topic } = envelope;
            const line = encode(SERVER.replyTopicsOfClient.get(topic) ?? topic, reply, { re });
            const { outboxLen } = this.owner.limits;
            if (this.outboxLen > 0 && this.outboxLen + line.length > REPLY_FACTOR * outboxLen) {
                throw new Error(`the server does not read its replies: ${this.outboxLen} bytes are queued`);
            }
            this.queue(line);
        } catch (error) {
            this.replyError(envelope, { code: "failed", text: textOf(error) });
        }
    }

    private replyError(envelope: Envelope, reply: Failure["reply"], controller?: AbortController): void {
        const re = replyTo(envelope);
        if (re === undefined || controller?.signal.aborted === true || this.end !== undefined) {
            return;
        }
        const unsendable = { code: "failed", text: "the error of the responder can't be sent" };
        for (const message of [reply, unsendable]) {
            try {
                this.queue(encode("error", message, { error: true, re }));
                return;
            } catch (error) {
                if (message === unsendable) {
                    this.owner.report(error);
                }
            }
        }
    }

    // The end.

    /** Ends it, once what is queued was sent, or after `drain` milliseconds. */
    async close(drain: number): Promise<void> {
        this.isClosing = true;
        if (this.end !== undefined) {
            this.dispatchHeld(); // No more of it.
            return;
        }
        const timer = after(drain, () => this.socket.destroy());
        await this.flush().catch(() => {}); // The end of the connection says why.
        this.socket.end();
        this.resume();
        await this.closed;
        clearTimeout(timer);
    }

    /** Fails what waits for a reply, and tells the server that nobody waits any more. */
    failPending(error: IpcError): void {
        for (const [id, pending] of [...this.pending]) {
            this.control("socket-ipc.cancel", id);
            pending.fail(error);
        }
    }

    private check(): void {
        const now = performance.now();
        const { writeStall, incompleteTimeout } = this.owner.limits;
        if (this.outboxLen > 0 && now - this.lastWritten > writeStall) {
            this.socket.destroy(new Error(`the server accepted no bytes for ${writeStall} ms`));
        } else if (
            this.incompleteSince !== undefined &&
            !this.socket.isPaused() &&
            now - this.incompleteSince > incompleteTimeout
        ) {
            const why = `the server sent no end of a message for ${incompleteTimeout} ms${this.doubt}`;
            this.socket.destroy(new Error(why));
        }
    }

    private finish(failure: unknown): void {
        clearInterval(this.watch);
        const ended = this.isClosing ? "it was closed" : "the server ended it";
        const why = failure instanceof Error ? failure.message : ended;
        const error = new IpcError(
            "CONNECTION_LOST",
            `the connection to ${this.owner.path} ended: ${why}`,
            undefined,
            failure,
        );
        this.end = error;
        for (let first; (first = this.senders.shift()) !== undefined;) {
            first.settle(error);
        }
        this.running.forEach((controllers) => controllers.forEach((controller) => controller.abort(error)));
        this.failPending(error);
        this.flushers.splice(0).forEach(({ reject }) => reject(error));
        this.watchListener();
        this.dispatchHeld();
    }

    /** After the end: a listener whose promise does not settle keeps the client from connecting again for a while only. */
    private watchListener(): void {
        clearTimeout(this.listenerTimer);
        if (this.end === undefined) {
            return;
        }
        this.listenerTimer = setTimeout(() => {
            const count = this.held.length + (this.waiting.length > 0 ? 1 : 0);
            const text = `a listener has not settled for ${LISTENER_TIMEOUT} ms after the end of the connection; messages received before and dropped behind it: ${count}`;
            this.held.removeIf(() => true);
            this.waiting = [];
            this.owner.emit("messageError", new IpcError("CONNECTION_LOST", text));
            this.over();
        }, LISTENER_TIMEOUT);
    }
}

/** Calls back after some milliseconds; never, where that is longer than a timer can be. */
function after(milliseconds: number, callback: () => void): NodeJS.Timeout | undefined {
    return milliseconds < 2 ** 31 ? setTimeout(callback, milliseconds) : undefined;
}

// ---- The client ----

/** The options of a client. Times are in milliseconds; `Infinity` is no limit. */
export interface ClientOptions {
    /** How long to wait between attempts to connect, drawn anew each time: 1,000 to 1,250 unless set. */
    retryDelay?: number | [least: number, most: number];
    /** How long to wait before the first attempt after a connection was lost: 100 to 200 unless set. */
    reconnectDelay?: number | [least: number, most: number];
    /** How long one attempt to connect may take: 5,000 unless set. */
    connectTimeout?: number;
    /** After how many failed attempts to connect *again* the client gives up and is closed: never, unless set. */
    giveUpAfter?: number;
    /** How long a request waits for its reply, and a stream until it begins: 10,000 unless set. */
    requestTimeout?: number;
    /** How many requests may be pending, streams included, and how many responders may run: 1,024 unless set. */
    maxRequests?: number;
    /** How many bytes of items of a stream may lie unread: 256 KiB unless set. */
    streamWindow?: number;
    /** How many bytes may be queued for the server: 8 MiB unless set. */
    outboxLen?: number;
    /** How long the server may accept no bytes until the connection is given up: 10,000 unless set. */
    writeStall?: number;
    /** How long a message of the server may stay incomplete until the connection is given up: 30,000 unless set. */
    incompleteTimeout?: number;
}

/** The options of `connect`. */
export interface ConnectOptions {
    /** After how many failed attempts it rejects: never, unless set. */
    attempts?: number;
    /** After how many milliseconds it rejects: never, unless set. */
    timeout?: number;
    signal?: AbortSignal;
}

/** The options of a request. */
export interface RequestOptions {
    /** How long it waits for its reply, in milliseconds: `requestTimeout` of the client unless set. */
    timeout?: number;
    /** Cancels it: it rejects with the reason of the signal, and the server drops its responder. */
    signal?: AbortSignal;
}

/** The options of a stream. */
export interface StreamOptions {
    /** How many bytes of items may lie unread: `streamWindow` of the client unless set. */
    window?: number;
    /** How long it waits until the stream begins, in milliseconds: `requestTimeout` of the client unless set. */
    timeout?: number;
    /** Cancels it: `next` rejects with the reason of the signal. */
    signal?: AbortSignal;
}

/** What happens to a client, and what the listeners of each event get. */
export interface ClientEvents {
    /** There is a connection; `again` tells whether there was one before. */
    connect: [event: { again: boolean }];
    /** The connection has ended. The client connects again, unless it was closed. */
    disconnect: [reason: IpcError];
    /** An attempt to connect failed. Without a listener the first one in a row is a warning of the process. */
    connectError: [error: IpcError];
    /** Something was received that is no message, or lost its value. Without a listener it is a warning of the process. */
    messageError: [error: IpcError];
    /** A listener threw, or the client gave up. Without a listener it is an uncaught exception. */
    error: [error: unknown];
    /** The client was closed, or gave up. */
    close: [];
}

/** The emitter of `ClientEvents`. */
export interface ClientEmitter {
    on<E extends keyof ClientEvents>(event: E, listener: (...values: ClientEvents[E]) => void): this;
    once<E extends keyof ClientEvents>(event: E, listener: (...values: ClientEvents[E]) => void): this;
    off<E extends keyof ClientEvents>(event: E, listener: (...values: ClientEvents[E]) => void): this;
}

/** A message and what follows it. One that is `null` may be left out. */
export type Arguments<M, O> = null extends M ? [message?: M, options?: O] : [message: M, options?: O];

/** What a responder may return: the reply, or nothing where the reply is `null`. */
export type Returned<R> = null extends R ? R | void : R;

/**
 * A client that connects to a server, and again whenever the connection is lost.
 *
 *     const client = new Client('/tmp/myApp.sock');
 *     client.on('greeting', (greeting) => console.log(greeting.text));
 *     await client.connect();
 *     client.send('hello', { name: 'Node' });
 *     await client.close();
 */
export class Client {
    /** `connect`, `disconnect` and the other events of the client. Messages come to `on`. */
    readonly events: ClientEmitter;
    private readonly emitter = new EventEmitter();
    private readonly path: string;
    private readonly options: Required<ClientOptions>;
    private readonly listeners = new Map<string, Set<Listener>>();
    private readonly responders = new Map<string, Responder>();
    private readonly closing = new AbortController();
    private connection: Connection | undefined;
    private isConnecting = false;
    private isKept: Promise<void> | undefined;
    private late = 0;

    constructor(path: string, options: ClientOptions = {}) {
        this.path = path;
        this.options = {
            retryDelay: [1000, 1250],
            reconnectDelay: [100, 200],
            connectTimeout: 5000,
            giveUpAfter: Infinity,
            requestTimeout: 10_000,
            maxRequests: 1024,
            streamWindow: 256 * 1024,
            outboxLen: 8 * 1024 * 1024,
            writeStall: 10_000,
            incompleteTimeout: 30_000,
            ...options,
        };
        this.events = this.emitter as ClientEmitter;
    }

    /** Whether there is a connection at the moment. */
    get isConnected(): boolean {
        return this.connection !== undefined && this.connection.reason === undefined;
    }

    /** How many replies and items came for requests that nobody waits for any more. */
    get lateReplies(): number {
        return this.late;
    }

    /**
     * Connects: tries until there is a connection, however long that takes, unless an option says otherwise. Then the
     * client keeps connected until it is closed. After a failure it may be called again.
     */
    async connect(options: ConnectOptions = {}): Promise<void> {
        if (this.closing.signal.aborted) {
            throw this.closedError();
        }
        if (this.isConnecting || this.isKept !== undefined) {
            if (this.isConnected) {
                return;
            }
            throw new IpcError("ALREADY_CONNECTING", `the client of ${this.path} is connecting already`);
        }
        this.isConnecting = true;
        const stop = new AbortController();
        const abort = () => stop.abort(options.signal?.reason);
        const close = () => stop.abort(this.closedError());
        options.signal?.addEventListener("abort", abort, { once: true });
        this.closing.signal.addEventListener("abort", close, { once: true });
        const { timeout = Infinity } = options;
        const timer = after(timeout, () =>
            stop.abort(new IpcError("GAVE_UP", `no connection to ${this.path} within ${timeout} ms`)),
        );
        try {
            options.signal?.throwIfAborted();
            const socket = await this.establish(undefined, options.attempts ?? Infinity, stop.signal);
            this.isKept = this.keep(this.connected(socket, false));
        } finally {
            this.isConnecting = false;
            clearTimeout(timer);
            options.signal?.removeEventListener("abort", abort);
            this.closing.signal.removeEventListener("abort", close);
        }
    }

    /**
     * Calls `listener` with each message of a topic. Where it returns a promise, the next listener and further messages
     * wait until that has settled; replies and items do not. Returns a function that removes the listener.
     *
     * What was received before the connection ended is still dispatched, and then the client connects again. If a
     * listener has not settled 5 seconds after that end, what is behind it is dropped: a `messageError`.
     */
    on<T extends keyof ToClient & string>(
        topic: T,
        listener: (message: ToClient[T]) => void | Promise<void>,
    ): () => void {
        const listeners = this.listeners.get(topic) ?? new Set();
        this.listeners.set(topic, listeners.add(listener));
        return () => void listeners.delete(listener);
    }

    /**
     * Queues a message, or throws why it can't. Returns whether little enough is queued to go on; `sendAsync` waits until
     * it is.
     */
    send<T extends keyof ToServer & string>(topic: T, ...[message]: Arguments<ToServer[T], never>): boolean {
        return this.current(topic).send(encode(topic, message), topic);
    }

    /** Queues a message once there is room. */
    async sendAsync<T extends keyof ToServer & string>(
        topic: T,
        ...[message, options]: Arguments<ToServer[T], { signal?: AbortSignal }>
    ): Promise<void> {
        await this.current(topic).sendAsync(encode(topic, message), topic, options?.signal);
    }

    /** Resolves when everything that is queued was handed to the system; rejects if the connection ends before. */
    async flush(): Promise<void> {
        await this.connection?.flush();
    }

    /** Requests a reply. It rejects with an `IpcError` that says why there is none; `isFailed` finds typed errors. */
    async request<T extends keyof ToServer & keyof Replies & string>(
        topic: T,
        ...[message, options]: Arguments<ToServer[T], RequestOptions>
    ): Promise<Replies[T]> {
        const { timeout = this.options.requestTimeout, signal } = options ?? {};
        return (await this.current(topic).request(topic, message, timeout, signal)) as Replies[T];
    }

    /** Requests a stream of replies. It throws, or `next` rejects, with why there is none. */
    stream<T extends keyof ToServer & keyof Streams & string>(
        topic: T,
        ...[message, options]: Arguments<ToServer[T], StreamOptions>
    ): ReplyStream<Streams[T]> {
        if (!SERVER.hasControlLines) {
            const why = "streams need control lines, and the wires of the Node library have none";
            throw new IpcError("NO_STREAMS", `cannot request the stream \`${topic}\`: ${why}`, topic);
        }
        const {
            window = this.options.streamWindow,
            timeout = this.options.requestTimeout,
            signal,
        } = options ?? {};
        return this.current(topic).stream(topic, message, window, timeout, signal);
    }

    /**
     * Replies to the requests of the server. What the responder throws becomes an error reply, that of `context.fail` a
     * typed one. Returns a function that removes the responder.
     */
    respond<T extends keyof ToClient & keyof Replies & string>(
        topic: T,
        responder: (
            message: ToClient[T],
            context: ResponderContext<T>,
        ) => Returned<Replies[T]> | Promise<Returned<Replies[T]>>,
    ): () => void {
        if (this.responders.has(topic)) {
            throw new IpcError("ALREADY_REGISTERED", `\`${topic}\` has a responder already`, topic);
        }
        this.responders.set(topic, responder);
        return () => {
            if (this.responders.get(topic) === responder) {
                this.responders.delete(topic);
            }
        };
    }

    /** Sends what is queued, for at most `drain` milliseconds (5,000 unless set), and closes the client for good. */
    async close(drain = 5000): Promise<void> {
        if (!this.closing.signal.aborted) {
            this.closing.abort();
            const { connection } = this;
            connection?.failPending(this.closedError());
            await connection?.close(drain);
            await this.isKept;
            this.emit("close");
        }
        await this.isKept;
    }

    private current(topic: string): Connection {
        if (this.closing.signal.aborted) {
            throw this.closedError();
        }
        if (this.connection === undefined) {
            throw new IpcError(
                "NOT_CONNECTED",
                `cannot send \`${topic}\`: not connected to ${this.path}`,
                topic,
            );
        }
        return this.connection;
    }

    private closedError(): IpcError {
        return new IpcError("CLOSED", `the client of ${this.path} was closed`);
    }

    /** Tries until there is a connection. Waits for `delay` before the first attempt. */
    private async establish(
        first: Delay | undefined,
        attempts: number,
        stop: AbortSignal,
    ): Promise<net.Socket> {
        let delay = first;
        for (let failed = 1; ; failed += 1) {
            if (delay !== undefined) {
                await pause(delay, stop);
            }
            try {
                return await this.open(stop);
            } catch (error) {
                stop.throwIfAborted();
                const failure = error as IpcError;
                if (this.emitter.listenerCount("connectError") > 0 || failed === 1) {
                    this.emit("connectError", failure);
                }
                if (failed >= attempts) {
                    throw failed === 1
                        ? failure
                        : new IpcError(
                              "GAVE_UP",
                              `gave up after ${failed} attempts: ${failure.message}`,
                              undefined,
                              failure,
                          );
                }
            }
            delay = this.options.retryDelay;
        }
    }

    /** Tries once. */
    private open(stop: AbortSignal): Promise<net.Socket> {
        return new Promise((resolve, reject) => {
            stop.throwIfAborted();
            const socket = net.connect({ path: this.path });
            const fail = (cause: unknown) => {
                settle();
                socket.destroy();
                reject(
                    new IpcError(
                        "CONNECT_FAILED",
                        `cannot connect to ${this.path}: ${textOf(cause)}`,
                        undefined,
                        cause,
                    ),
                );
            };
            const abort = () => fail(stop.reason);
            const { connectTimeout } = this.options;
            const timer = after(connectTimeout, () =>
                fail(new Error(`not connected within ${connectTimeout} ms`)),
            );
            const settle = () => {
                clearTimeout(timer);
                stop.removeEventListener("abort", abort);
                socket.off("error", fail);
                // What is still reported has its consequence already.
                socket.on("error", () => {});
            };
            stop.addEventListener("abort", abort, { once: true });
            socket.once("error", fail);
            socket.once("connect", () => {
                settle();
                resolve(socket);
            });
        });
    }

    private connected(socket: net.Socket, again: boolean): Connection {
        const owner: Owner = {
            path: this.path,
            limits: this.options,
            listeners: this.listeners,
            responders: this.responders,
            emit: (event, ...values) => this.emit(event, ...values),
            report: (error) => this.emit("error", error),
            countLate: () => (this.late += 1),
        };
        this.connection = new Connection(socket, owner);
        this.emit("connect", { again });
        return this.connection;
    }

    /** Each connection to its end, then the next. It never rejects. */
    private async keep(first: Connection): Promise<void> {
        let connection = first;
        for (;;) {
            await connection.closed;
            this.connection = undefined;
            if (connection.reason !== undefined) {
                this.emit("disconnect", connection.reason);
            }
            if (this.closing.signal.aborted) {
                return;
            }
            try {
                const { reconnectDelay, giveUpAfter } = this.options;
                connection = this.connected(
                    await this.establish(reconnectDelay, giveUpAfter, this.closing.signal),
                    true,
                );
            } catch (error) {
                if (!this.closing.signal.aborted) {
                    this.closing.abort();
                    this.emit("error", error);
                    this.emit("close");
                }
                return;
            }
        }
    }

    /** Calls the listeners of an event. What they throw is an uncaught exception, and breaks nothing here. */
    private emit<E extends keyof ClientEvents>(event: E, ...values: ClientEvents[E]): void {
        const isHeard = this.emitter.listenerCount(event) > 0;
        if (!isHeard && (event === "connectError" || event === "messageError")) {
            process.emitWarning(values[0] as IpcError);
            return;
        }
        try {
            this.emitter.emit(event, ...values);
        } catch (error) {
            setImmediate(() => {
                throw error;
            });
        }
    }
}

type Delay = number | [least: number, most: number];

/** Waits for a time that is drawn from its range. */
function pause(delay: Delay, stop: AbortSignal): Promise<void> {
    const [least, most] = typeof delay === "number" ? [delay, delay] : delay;
    return new Promise((resolve, reject) => {
        stop.throwIfAborted();
        const abort = () => {
            clearTimeout(timer);
            reject(stop.reason);
        };
        const timer = setTimeout(
            () => {
                stop.removeEventListener("abort", abort);
                resolve();
            },
            least + Math.random() * (most - least),
        );
        stop.addEventListener("abort", abort, { once: true });
    });
}
