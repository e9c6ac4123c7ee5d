// The rows of the suite about integers and values, with a client whose integers are bigints. `bigint_topics.ts` beside this
// file is generated.

import { createInterface } from 'node:readline';

import { Client } from './bigint_topics';

const [path = ''] = process.argv.slice(2);

/** At and beyond the largest one of a `number`, 2⁵³ − 1. */
const INTEGERS = [
    '9007199254740991',
    '9007199254740992',
    '9007199254740993',
    '-9007199254740992',
    '18446744073709551616',
];

const behaviours: Record<string, (client: Client) => Promise<unknown>> = {
    async values(client) {
        const values: Record<string, unknown> = {};
        for (const [name, value] of Object.entries(await client.request('values'))) {
            values[name] = await client.request('echo', { value });
        }
        return values;
    },

    async integers(client) {
        const integers: Record<string, string[]> = {};
        for (const digits of INTEGERS) {
            const received: bigint = await client.request('integer', { digits });
            integers[digits] = [await client.request('digits', { integer: BigInt(digits) }), String(received)];
        }
        return integers;
    },
};

async function main(): Promise<void> {
    console.log(JSON.stringify({ peer: `Node ${process.version} with bigints` }));
    for await (const behaviour of createInterface({ input: process.stdin })) {
        const client = new Client(path);
        await client.connect({ timeout: 10_000 });
        const saw = await behaviours[behaviour]?.(client);
        await client.close();
        // The integers of the values are small.
        const number = (_: string, value: unknown) => (typeof value === 'bigint' ? Number(value) : value);
        console.log(JSON.stringify({ behaviour, saw }, number));
    }
}

void main();
