// A client of a server that speaks a wire of the Node library, which names the behaviour. `node_topics.ts` beside this file
// is generated for that wire.

import { createInterface } from 'node:readline';

import { Client, IpcError, NodeClient, typed } from './node_topics';

const [path = ''] = process.argv.slice(2);

async function main(): Promise<void> {
    console.log(JSON.stringify({ peer: `Node ${process.version} on a wire of the Node library` }));
    for await (const behaviour of createInterface({ input: process.stdin })) {
        console.log(JSON.stringify({ behaviour, saw: await show(behaviour) }));
    }
}

async function show(wire: string): Promise<unknown> {
    const client = new Client(`${path}.${wire}`);
    await client.connect({ timeout: 10_000 });

    // What ends a message on one of these wires may stand in one.
    const text = '100%EOM% %<EOM>%\n \0\0 {"topic":"x"} \u2028';
    const news = new Promise((resolve) => client.on('news', (news) => resolve(news.text)));
    await client.request('announce', { text });
    const sum = await client.request('add', { left: 2, right: 3 });
    let stream: unknown;
    try {
        stream = client.stream('numbers', { key: '', count: 1 });
    } catch (error) {
        stream = error instanceof IpcError ? error.code.toLowerCase() : error;
    }
    const hasTyped = typeof typed({} as NodeClient).send === 'function';
    const saw = { news: (await news) === text, sum, stream, typed: hasTyped };
    await client.close();
    return saw;
}

void main();
