'use strict';

// What both peers do, whatever the library: `node <peer>.js <server|client> <work> <count> <clients> <text length>
// <path>`. The Rust program that starts them says what each work is, and checks the sums.

const [side, work, count, clients, textLength, path] = process.argv.slice(2);

exports.side = side;
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
// How much is sent before what is queued can leave: what each library is fastest with.
const turn = text === '' ? 1000 : 1;

let start;
const begin = () => start = process.hrtime.bigint();
const outcome = (sum, trips) => {
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    const median = trips === undefined ? null : trips.sort((a, b) => a - b)[trips.length >> 1];
    say(JSON.stringify({seconds, sum, median}));
};

// `server` has broadcast(message) and reply(message, client); it calls these.
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
        heard(message, client) {
            if (work === 'W2') {
                server.reply('bench', message, client);
                return;
            }
            sum += adds(message);
            if (message.id === last && ++ended === exports.clients) {
                server.reply('answer', {sum}, client);
            }
        },
        answered(answer) {
            sum += answer.sum;
            if (++ended === exports.clients) {
                outcome(sum);
            }
        },
    };
};

// `all` are functions that send for one client each; what is heard comes back through these.
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
        heard(message, client) {
            sums[client] += adds(message);
            if (work === 'W2') {
                trips.push(Number(process.hrtime.bigint() - sent) / 1e9);
                message.id === last ? outcome(sums[0], trips) : ping();
            } else if (message.id === last) {
                all[client]('answer', {sum: sums[client]});
            }
        },
        answered(answer) {
            outcome(answer.sum);
        },
    };
};
