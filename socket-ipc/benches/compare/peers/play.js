'use strict';

// The part that both peers share: `node <peer>.js <server|client> <work> <count> <clients> <text length>
// <path>`. The Rust program that starts them says what each work is, and checks the sums.

const [endpoint, work, count, clients, textLength, path] = process.argv.slice(2);

exports.endpoint = endpoint;
exports.path = path;
exports.clients = Number(clients);

const last = Number(count) - 1;
const say = (line) => process.stdout.write(line + '\n');
exports.ready = () => say('ready');

const small = (id) => ({id, name: 'crussell52', value: id + 0.5});
let text = '';
for (let at = 0; at < Number(textLength); at++) {
    text += at % 100 === 99 ? '\n' : 'x';
}
const message = (id) => text === '' ? small(id) : {id, text};
const adds = (message) => message.id + (message.text === undefined ? 0 : message.text.length);
// The number of messages that are sent in one turn of the event loop: the fastest for each library.
const turn = text === '' ? 1000 : 1;

let start;
const begin = () => start = process.hrtime.bigint();
const outcome = (sum, trips) => {
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    const median = trips === undefined ? null : trips.sort((a, b) => a - b)[trips.length >> 1];
    say(JSON.stringify({seconds, sum, median}));
};

// `server` has broadcast(message) and reply(topic, message, client); it calls the returned functions.
exports.serving = (server) => {
    let sum = 0, ended = 0, here = 0;
    return {
        connected() {
            if (work === 'W3' && ++here === exports.clients) {
                begin();
                let id = 0;
                const some = () => {
                    for (let n = 0; n < 100 && id <= last; n++) {
                        server.broadcast(small(id++));
                    }
                    if (id <= last) {
                        setImmediate(some);
                    }
                };
                some();
            }
        },
        onMessage(message, client) {
            if (work === 'W2') {
                server.reply('bench', message, client);
                return;
            }
            sum += adds(message);
            if (message.id === last && ++ended === exports.clients) {
                server.reply('result', {sum}, client);
            }
        },
        onResult(result) {
            sum += result.sum;
            if (++ended === exports.clients) {
                outcome(sum);
            }
        },
    };
};

// `all` has a function for each client that sends; the returned functions take what is received.
exports.playing = (all) => {
    const sums = all.map(() => 0);
    const trips = [];
    let id = 0, sent;
    const ping = () => {
        sent = process.hrtime.bigint();
        all[0]('bench', small(id++));
    };
    return {
        connected() {
            if (work === 'W3') {
                return;
            }
            begin();
            if (work === 'W2') {
                ping();
                return;
            }
            const some = () => {
                for (let n = 0; n < turn && id <= last; n++, id++) {
                    all.forEach((send) => send(text === '' ? 'bench' : 'text', message(id)));
                }
                if (id <= last) {
                    setImmediate(some);
                }
            };
            some();
        },
        onMessage(message, client) {
            sums[client] += adds(message);
            if (work === 'W2') {
                trips.push(Number(process.hrtime.bigint() - sent) / 1e9);
                message.id === last ? outcome(sums[0], trips) : ping();
            } else if (message.id === last) {
                all[client]('result', {sum: sums[client]});
            }
        },
        onResult(result) {
            outcome(result.sum);
        },
    };
};
