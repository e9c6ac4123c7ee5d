// The suite of clients in TypeScript: it shows each behaviour that it reads the name of, and prints what it saw.
// `topics.ts` beside this file is generated.

import { createInterface } from 'node:readline';

import { Client, ClientOptions, FailedError, IpcError, RejectedError, isFailed } from './topics';

const [path = ''] = process.argv.slice(2);

/** At and beyond the largest one of a `number`, 2⁵³ − 1. */
const INTEGERS = [
    '9007199254740991',
    '9007199254740992',
    '9007199254740993',
    '-9007199254740992',
    '18446744073709551616',
];

async function connected(suffix = '', options: ClientOptions = {}): Promise<Client> {
    const client = new Client(path + suffix, options);
    await client.connect({ timeout: 10_000 });
    return client;
}

/** What the suite calls an error. */
async function nameOf(promise: Promise<unknown>): Promise<string> {
    try {
        await promise;
        return 'a reply';
    } catch (error) {
        return nameOfError(error);
    }
}

function nameOfError(error: unknown): string {
    return error instanceof IpcError ? error.code.toLowerCase() : String(error);
}

/** `refused`, where the error says by name what is wrong with the value. */
async function refused(code: string, words: RegExp, call: () => Promise<unknown>): Promise<unknown> {
    try {
        return await call();
    } catch (error) {
        const isNamed = error instanceof IpcError && error.code === code && words.test(error.message);
        return isNamed ? 'refused' : String(error);
    }
}

const sum = (client: Client) => client.request('add', { left: 2, right: 3 });

const behaviours: Record<string, () => Promise<unknown>> = {
    async messages() {
        const client = await connected();
        for (let n = 0; n < 10_000; n += 1) {
            await client.sendAsync('number', { n });
        }
        const sent = await client.request('counted');
        const received = { count: 0, in_order: true };
        client.on('tick', ({ n }) => {
            received.in_order &&= n === received.count;
            received.count += 1;
        });
        await client.request('burst', { count: 10_000 });
        await client.close();
        return { sent, received };
    },

    async requests() {
        const client = await connected();
        const lefts = Array.from({ length: 1000 }, (_, left) => left);
        const sums = await Promise.all(lefts.map((left) => client.request('add', { left, right: 1 })));
        client.respond('double', ({ n }) => 2 * n);
        const asked_back = await client.request('ask back', { count: 100 });
        const news = new Promise((resolve) => client.on('news', ({ text }) => resolve(text)));
        await client.request('announce', { text: 'hello, all' });
        const seen = { sums: sums.filter((sum, left) => sum === left + 1).length, asked_back, news: await news };
        await client.close();
        return seen;
    },

    async errors() {
        const client = await connected();
        let failed: unknown;
        let text: unknown;
        try {
            await client.request('submit', { command: 'boil' });
        } catch (error) {
            if (isFailed(error, 'submit')) {
                // The typed error has its type here.
                failed = { QueueFull: { max: error.data.QueueFull.max } };
                text = error.text;
            }
        }
        let rejected: unknown;
        try {
            await client.request('divide', { dividend: 1, divisor: 0 });
        } catch (error) {
            rejected = error instanceof RejectedError ? [error.replyCode, error.text] : String(error);
        }
        const others = [
            await nameOf(client.request('nobody')),
            await nameOf(client.request('add', 'no numbers' as never)),
            await nameOf(client.request('panics')),
            await nameOf(client.request('hang', { key: '' }, { timeout: 50 })),
        ];
        const without = await client.request('try client');
        client.respond('client submit', (_, { fail }) => fail({ QueueFull: { max: 7 } }, 'the queue holds 7 jobs'));
        const seen = { failed, text, rejected, others, client: [without, await client.request('try client')] };
        await client.close();
        return seen;
    },

    async streams() {
        const client = await connected();
        const numbers = (key: string) => client.stream('numbers', { key, count: 1000 }, { window: 4096 });
        const read = async (stream: ReturnType<typeof numbers>, from = 0) => {
            let [count, inOrder] = [from, true];
            for await (const { n } of stream) {
                inOrder &&= n === count;
                count += 1;
            }
            return { count, inOrder };
        };
        const slow = numbers('slow in TypeScript');
        const first = await slow.next();
        const all = await Promise.all(Array.from({ length: 99 }, (_, number) => read(numbers(String(number)))));
        const made = await client.request('progress', { key: 'slow in TypeScript' });
        all.push(await read(slow, first.value.n === 0 ? 1 : NaN));
        let items_before = 0;
        let failed: unknown;
        try {
            for await (const _ of client.stream('numbers', { key: '', count: 3, fails: true })) {
                items_before += 1;
            }
        } catch (error) {
            failed = error instanceof FailedError ? error.data : String(error);
        }
        await client.close();
        return {
            streams: all.length,
            items: all.reduce((items, { count }) => items + count, 0),
            in_order: all.every(({ inOrder }) => inOrder),
            slow_was_held: made < 500,
            failed,
            items_before,
        };
    },

    async cancellation() {
        const client = await connected();
        const key = (of: string) => ({ key: `${of} in TypeScript` });
        const given = new AbortController();
        const request = client.request('hang', key('request'), { signal: given.signal });
        // Behind it: with its reply the first one has begun.
        await client.request('counted');
        given.abort('request');
        const dropped = [await request.catch((reason) => reason)];
        await client.request('dropped', key('request'));
        dropped.push(await nameOf(client.request('hang', key('timeout'), { timeout: 50 })));
        await client.request('dropped', key('timeout'));
        let item: unknown;
        for await (item of client.stream('endless', key('stream'))) {
            break;
        }
        await client.request('dropped', key('stream'));
        dropped.push('stream');
        const cancelled = new Promise((resolve) => {
            client.respond('wait', (_, { signal }) => {
                signal.addEventListener('abort', () => resolve('cancelled'));
                return new Promise(() => {});
            });
        });
        await client.request('cancel client');
        const seen = { dropped, item, responder: await cancelled };
        await client.close();
        return seen;
    },

    async restart() {
        const client = new Client(`${path}.restart`, { retryDelay: 20 });
        const events: string[] = [];
        const again = new Promise<void>((resolve) => {
            client.events.on('connect', (event) => {
                events.push(event.again ? 'connect again' : 'connect');
                event.again && resolve();
            });
        });
        client.events.on('disconnect', () => events.push('disconnect'));
        client.events.on('connectError', () => {});
        await client.connect({ timeout: 10_000 });
        const request = nameOf(client.request('hang', { key: '' }));
        const stream = client.stream('endless', { key: '' });
        const item = await stream.next();
        console.log(JSON.stringify({ ready: 'restart' }));
        const failed = [await request, await nameOf(stream.next())];
        await again;
        const seen = { item: item.value, failed, events: [...events], sum: await sum(client) };
        await client.close();
        return seen;
    },

    async big() {
        const client = await connected();
        // Characters of every length in UTF-8, so that some are split by what is read at once.
        const text = (length: number) => 'é€😀'.repeat(length / 9);
        const long = text(4 * 1024 * 1024 - 200);
        const echoed = await client.request('big', { text: long });
        const beyond = await nameOf(client.request('big', { text: text(4 * 1024 * 1024 + 9) }));
        const seen = { bytes: Buffer.byteLength(echoed), same: echoed === long, beyond, sum: await sum(client) };
        await client.close();
        return seen;
    },

    async values() {
        const client = await connected();
        const values = Object.entries(await client.request('values'));
        const echoed = values.map(async ([name, value]) => [name, await client.request('echo', { value })] as const);
        const seen = Object.fromEntries(await Promise.all(echoed));
        await client.close();
        return seen;
    },

    async surrogates() {
        const client = await connected();
        const sent = await refused('LONE_SURROGATE', /surrogate/, () => client.request('echo', { value: 'a\ud800' }));
        const error = new Promise<IpcError>((resolve) => client.events.on('messageError', resolve));
        client.on('text', () => {});
        await client.request('lone surrogate');
        const { code, message } = await error;
        const received = code === 'LONE_SURROGATE' ? 'refused' : code;
        const seen = { sent, received, by_name: /`text`.*surrogate/.test(message), sum: await sum(client) };
        await client.close();
        return seen;
    },

    async 'line separators'() {
        const client = await connected();
        const echoed = await client.request('echo', { value: 'a\u2028b\u2029c\u0085d' });
        await client.close();
        return echoed;
    },

    async integers() {
        const client = await connected();
        const seen: Record<string, unknown> = {};
        for (const digits of INTEGERS) {
            const unsafe = (call: () => Promise<unknown>) => refused('UNSAFE_INTEGER', /`integer|`digits/, call);
            seen[digits] = [
                await unsafe(() => client.request('digits', { integer: Number(digits) })),
                await unsafe(async () => String(await client.request('integer', { digits }))),
            ];
        }
        await client.close();
        return seen;
    },

    async absent() {
        const client = new Client(`${path}.absent`, { retryDelay: 10 });
        client.events.on('connectError', () => {});
        const refusal = await client.connect({ attempts: 1 }).catch((error: IpcError) => error.message);
        const names_the_path = String(refusal).includes(`${path}.absent`);
        const request = await nameOf(client.request('counted'));
        const gaveUp = await client.connect({ attempts: 3 }).catch((error: IpcError) => error.message);
        return { names_the_path, request, attempts: Number(/gave up after (\d+)/.exec(String(gaveUp))?.[1]) };
    },

    async 'wrong wire'() {
        const client = await connected('.node-0.4');
        const request = client.request('add', { left: 2, right: 3 }, { timeout: 200 });
        const error = await request.catch((error: IpcError) => error);
        await client.close(0);
        return { request: /another wire/.test(String(error)) ? nameOfError(error) : String(error) };
    },
};

async function main(): Promise<void> {
    console.log(JSON.stringify({ peer: `Node ${process.version}` }));
    for await (const name of createInterface({ input: process.stdin })) {
        const saw = await behaviours[name]?.().catch(String);
        console.log(JSON.stringify({ behaviour: name, saw }));
    }
}

void main();
