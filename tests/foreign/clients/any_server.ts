// The generated client in TypeScript at servers that send any bytes: each is an error by name, and nothing else breaks.
// `topics.ts` beside this file is generated. It prints the name of each behaviour that holds.

import { strict as assert } from 'node:assert';
import * as net from 'node:net';

import { Client, ClientOptions, IpcError } from './topics';

const [path = ''] = process.argv.slice(2);

/** What the server does with its only connection. */
type Serve = (socket: net.Socket, received: any[]) => void;

/** Runs a client against a server of one connection. The client has no types: they would not let it do what is wrong. */
async function against(name: string, serve: Serve, use: (client: any) => Promise<void>, options: ClientOptions = {}) {
    const socketPath = `${path}.${name.replaceAll(' ', '_')}`;
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
        const received: any[] = [];
        let text = '';
        socket.on('error', () => {});
        socket.on('end', () => socket.end());
        socket.on('data', (bytes) => {
            const lines = (text + bytes).split('\n');
            text = lines.pop() ?? '';
            received.push(...lines.map((line) => JSON.parse(line)));
        });
        serve(socket, received);
        server.close();
    });
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    const client = new Client(socketPath, { reconnectDelay: 60_000, ...options });
    client.events.on('connectError', () => {});
    await use(client);
    await client.close();
    console.log(name);
}

/** Sends these lines to a client that has connected. */
const sending = (...lines: string[]) => (socket: net.Socket) => void socket.write(lines.join('\n') + '\n');

const message = (topic: string, value: unknown) => JSON.stringify({ topic, message: value });
const request = (id: string) => `{"topic":"double","message":{"n":1},"id":${id}}`;
const cancel = (id: number) => `{"topic":"socket-ipc.cancel","message":${id},"re":0}`;
const END = message('text', 'end');

/** Connects, and resolves when `END` has come. */
async function untilEnd(client: any): Promise<void> {
    const end = new Promise<void>((resolve) => client.on('text', (text: string) => text === 'end' && resolve()));
    await client.connect({ timeout: 10_000 });
    await end;
}

function mistakesOf(client: any): string[] {
    const mistakes: string[] = [];
    client.events.on('messageError', ({ code }: IpcError) => mistakes.push(code));
    return mistakes;
}

const LONG = 'x'.repeat(65);
const NO_IDS = ['1e400', '9007199254740993', '"\\ud800"', `"${LONG}"`, 'true', '1.5', '[1]', '{"toString":1,"valueOf":1}'];

async function idsThatAreNone() {
    let received: any[] = [];
    const serve: Serve = (socket, all) => {
        received = all;
        // A reply to nobody, whose id `Number` would throw at.
        const late = '{"topic":"double","message":1,"re":{"toString":1,"valueOf":1}}';
        sending(...NO_IDS.map(request), late, request('7'), request('"\u00fc"'), END)(socket);
    };
    await against('ids that are none', serve, async (client) => {
        const mistakes = mistakesOf(client);
        client.respond('double', ({ n }: { n: number }) => 2 * n);
        await untilEnd(client);
        assert.deepEqual(mistakes, NO_IDS.map(() => 'MALFORMED'));
        assert.equal(client.lateReplies, 1);
    });
    // All that was queued was written, and the server has read all before the client is closed.
    assert.deepEqual(
        received.map(({ message, re }) => [message, re]),
        [[2, 7], [2, '\u00fc']],
    );
}

async function idsWithoutResponder() {
    await against('ids without a responder', sending(...NO_IDS.map(request), END), async (client) => {
        const mistakes = mistakesOf(client);
        let count = 0;
        client.on('double', () => (count += 1));
        await untilEnd(client);
        assert.deepEqual(mistakes, ['NOT_JSON', 'UNSAFE_INTEGER', 'LONE_SURROGATE']);
        assert.equal(count, NO_IDS.length - 3, 'what no reply is expected to is a message');
    });
}

async function lineSeparators() {
    // As they are, not as escapes: a newline alone ends a line.
    const text = 'a\u2028b\u0085c\u2029d';
    await against('line separators', sending(`{"topic":"text","message":"${text}"}`, END), async (client) => {
        const mistakes = mistakesOf(client);
        const texts: string[] = [];
        client.on('text', (text: string) => texts.push(text));
        await untilEnd(client);
        assert.deepEqual([texts, mistakes], [[text, 'end'], []]);
    });
}

/** Replies that do not fit their requests, in the order in which they are requested. Each but the second is cancelled. */
async function repliesOfAnotherKind() {
    const item = (id: number, text: string) => `{"topic":"numbers","message":"${text}","more":true,"re":${id}}`;
    const replies = [
        // The third item comes while nothing is left of the window.
        (id: number) => [`{"topic":"numbers","started":true,"re":${id}}`, item(id, LONG), item(id, LONG), item(id, '')],
        (id: number) => [`{"topic":"numbers","message":1,"re":${id}}`],
        // It is longer than the window.
        (id: number) => [item(id, LONG.repeat(3))],
        (id: number) => [`{"topic":"add","started":true,"re":${id}}`],
        (id: number) => [item(id, 'an item')],
    ];
    let received: any[] = [];
    const serve: Serve = (socket, all) => {
        received = all;
        let replied = 0;
        socket.on('data', () => {
            const requests = all.filter(({ id }) => id !== undefined);
            for (; replied < requests.length; replied += 1) {
                sending(...(replies[replied]?.(requests[replied].id) ?? []))(socket);
            }
        });
    };
    await against('replies of another kind', serve, async (client) => {
        await client.connect({ timeout: 10_000 });
        const numbers = () => client.stream('numbers', { key: '', count: 1 }, { window: 200 });
        const beyond = numbers();
        await assert.rejects(numbers().next(), { code: 'NOT_A_STREAM' });
        // By now the items of the first stream are there.
        for (let count = 0; count < 2; count += 1) {
            assert.deepEqual(await beyond.next(), { done: false, value: LONG });
        }
        await assert.rejects(beyond.next(), { code: 'WINDOW_EXCEEDED' });
        await assert.rejects(numbers().next(), { code: 'WINDOW_EXCEEDED' });
        for (let count = 0; count < 2; count += 1) {
            await assert.rejects(client.request('add', { left: 1, right: 2 }), { code: 'IS_A_STREAM' });
        }
    });
    const cancels = received.filter(({ topic }) => topic === 'socket-ipc.cancel');
    assert.deepEqual(cancels.map(({ message, re }) => [message, re]), [1, 3, 4, 5].map((id) => [id, 0]));
}

async function messagesOverTheLimit() {
    const LIMIT = 4 * 1024 * 1024;
    const around = message('text', '').length;
    const lines = [message('text', 'x'.repeat(LIMIT - around)), message('text', 'x'.repeat(LIMIT - around + 1)), END];
    // With and without a delimiter in sight: one that is far too long is not kept until its end.
    lines.splice(1, 0, 'x'.repeat(5 * LIMIT));
    await against('messages over the limit', sending(...lines), async (client) => {
        const mistakes = mistakesOf(client);
        const lengths: number[] = [];
        client.on('text', ({ length }: string) => lengths.push(length));
        await untilEnd(client);
        assert.deepEqual([lengths, mistakes], [[LIMIT - around, 3], ['TOO_LARGE', 'TOO_LARGE']]);
    });
}

async function numbersOutOfRange() {
    const beyond = ['1e400', '[-1.5E+0999]', '{"a": 99999e305}', '1'.repeat(400) + '.5'];
    const within = ['1e308', '1e-400', '"1e400"', '"sha256:12e123"'];
    const lines = [...beyond, ...within].map((number) => `{"topic":"news","message":${number}}`);
    await against('numbers out of range', sending(...lines, END), async (client) => {
        const mistakes = mistakesOf(client);
        const received: unknown[] = [];
        client.on('news', (value: unknown) => received.push(value));
        await untilEnd(client);
        assert.deepEqual(mistakes, beyond.map(() => 'NOT_JSON'));
        assert.deepEqual(received, [1e308, 0, '1e400', 'sha256:12e123']);
    });
}

async function valuesThatCannotBeSent() {
    const circle: unknown[] = [];
    circle.push(circle);
    const values: [value: unknown, code: string, words: RegExp][] = [
        [[, 1], 'NOT_JSON', /value\[0\] is a value of the type undefined/],
        [new Map([[1, 2]]), 'NOT_JSON', /value is a Map/],
        [[new Set([1])], 'NOT_JSON', /value\[0\] is a Set/],
        [/x/, 'NOT_JSON', /value is a RegExp/],
        [new Uint8Array(3), 'NOT_JSON', /value is a Uint8Array/],
        [Promise.resolve(1), 'NOT_JSON', /value is a Promise/],
        [circle, 'NOT_JSON', /127 levels/],
        [Infinity, 'NOT_JSON', /value is Infinity/],
        ['\udc00', 'LONE_SURROGATE', /value holds/],
        [2 ** 53, 'UNSAFE_INTEGER', /value is 9007199254740992/],
    ];
    let received: any[] = [];
    const serve: Serve = (socket, all) => {
        received = all;
        sending(END)(socket);
    };
    await against('values that cannot be sent', serve, async (client) => {
        await untilEnd(client);
        for (const [value, code, words] of values) {
            assert.throws(
                () => client.send('echo', { value }),
                (error: IpcError) => error.code === code && words.test(error.message),
                String(words),
            );
        }
        client.send('echo', { value: [null, new Date(0), Object.create(null)] });
    });
    assert.deepEqual(received, [{ topic: 'echo', message: { value: [null, '1970-01-01T00:00:00.000Z', {}] } }]);
}

async function requestsInOrder() {
    const lines = [message('news', 1), request('1'), message('news', 2), END];
    await against('requests in order', sending(...lines), async (client) => {
        const seen: unknown[] = [];
        client.on('news', (value: unknown) => seen.push(value));
        client.respond('double', () => void seen.push('request'));
        await untilEnd(client);
        assert.deepEqual(seen, [1, 'request', 2]);
    });
}

async function requestsWithoutId() {
    let received: any[] = [];
    const serve: Serve = (socket, all) => {
        received = all;
        const replies = ['{"topic":"double","message":7,"re":null}', '{"topic":"error","message":8,"re":null,"error":true}'];
        // A `window` means something beside an id alone.
        const odd = '{"topic":"double","message":{"n":2},"window":1}';
        const requests = [message('double', { n: 1 }), odd, message('double', { n: -1 }), message('client submit', {})];
        sending(...requests, ...replies, END)(socket);
    };
    await against('requests without an id', serve, async (client) => {
        const seen: unknown[] = [];
        client.respond('double', ({ n }: { n: number }) => {
            seen.push(n);
            if (n < 0) {
                throw new Error('it is negative');
            }
            return 2 * n;
        });
        client.respond('client submit', () => void seen.push('submit'));
        client.respond('error', () => void seen.push('a reply to an error'));
        client.on('double', (value: unknown) => seen.push(value));
        client.on('error', (value: unknown) => seen.push(value));
        await untilEnd(client);
        assert.deepEqual(seen, [1, { n: 1 }, 2, { n: 2 }, -1, { n: -1 }, 'submit', 7, 8]);
    });
    // To nobody, where the replies have no topic of their own.
    assert.deepEqual(received, [
        { topic: 'doubled', message: 2, re: null },
        { topic: 'doubled', message: 4, re: null },
        { topic: 'error', message: { code: 'failed', text: 'it is negative' }, error: true, re: null },
    ]);
}

async function listenersInOrder() {
    const seen: string[] = [];
    await against('listeners in order', sending(message('news', 1), message('news', 2), END), async (client) => {
        for (const name of ['first', 'second']) {
            client.on('news', async (value: unknown) => {
                seen.push(`${name} begins with ${value}`);
                await new Promise(setImmediate);
                seen.push(`${name} ends`);
            });
        }
        let remove = () => {};
        client.on('news', () => remove());
        remove = client.on('news', () => seen.push('removed'));
        await untilEnd(client);
    });
    const ofEach = (value: number) => ['first', 'second'].flatMap((name) => [`${name} begins with ${value}`, `${name} ends`]);
    assert.deepEqual(seen, [...ofEach(1), ...ofEach(2)]);
}

async function cancelsFreePlaces() {
    const ids = [1, 2, 3, 4];
    // 5 is cancelled before it has begun. What is behind it does not wait for it.
    const lines = [...ids.map((id) => request(String(id))), request('5'), ...[5, ...ids].map(cancel), request('6'), END];
    await against(
        'cancels free places',
        sending(...lines),
        async (client) => {
            const aborted: boolean[] = [];
            client.respond('double', (_: unknown, { signal }: { signal: AbortSignal }) => {
                const index = aborted.push(false) - 1;
                signal.addEventListener('abort', () => (aborted[index] = true));
                return new Promise(() => {});
            });
            await untilEnd(client);
            assert.deepEqual(aborted, [true, true, true, true, false]);
        },
        { maxRequests: 4 },
    );
}

async function errorWithoutItsKey() {
    const serve: Serve = (socket) => {
        const started = '{"topic":"numbers","started":true,"re":1}';
        const error = '{"topic":"error","message":{"code":"failed","text":"broken"},"re":1}';
        socket.once('data', () => sending(started, error)(socket));
    };
    await against('error reply without its key', serve, async (client) => {
        await client.connect({ timeout: 10_000 });
        const stream = client.stream('numbers', { key: '', count: 1 });
        await assert.rejects(stream.next(), /broken/);
        assert.deepEqual(await stream.next(), { done: true, value: undefined });
    });
}

async function lastWords() {
    const count = 10;
    const lines = Array.from({ length: count }, (_, n) => message('tick', { n }));
    const serve: Serve = (socket) => void socket.end(lines.join('\n') + '\n' + request('1') + '\n');
    await against('messages before the end', serve, async (client) => {
        const seen: unknown[] = [];
        client.on('tick', async ({ n }: { n: number }) => {
            // The end of the connection is known by then.
            while (client.isConnected) {
                await new Promise(setImmediate);
            }
            seen.push(n);
        });
        client.on('tick', ({ n }: { n: number }) => n === count - 1 && seen.push('the last'));
        client.respond('double', () => void seen.push('a request that nobody waits for'));
        const disconnect = new Promise<void>((resolve) => client.events.on('disconnect', resolve));
        await client.connect({ timeout: 10_000 });
        await disconnect;
        assert.deepEqual(seen, [...lines.keys(), 'the last']);
    });
}

async function incompleteMessage() {
    const serve: Serve = (socket) => {
        // One that comes byte by byte has no end, either, though the server is never silent.
        const timer = setInterval(() => socket.write('x'), 20);
        socket.on('close', () => clearInterval(timer));
    };
    const use = async (client: any) => {
        const disconnect = new Promise<IpcError>((resolve) => client.events.on('disconnect', resolve));
        await client.connect({ timeout: 10_000 });
        assert.match((await disconnect).message, /no end of a message for 200 ms/);
    };
    await against('incomplete message', serve, use, { incompleteTimeout: 200 });
}

async function main(): Promise<void> {
    await Promise.all([
        idsThatAreNone(),
        idsWithoutResponder(),
        lineSeparators(),
        repliesOfAnotherKind(),
        messagesOverTheLimit(),
        numbersOutOfRange(),
        valuesThatCannotBeSent(),
        requestsInOrder(),
        requestsWithoutId(),
        listenersInOrder(),
        cancelsFreePlaces(),
        errorWithoutItsKey(),
        lastWords(),
        incompleteMessage(),
    ]);
}

void main();
