'use strict';

// What client.js and server.js share: the commands that a peer takes, the lines that it prints, and the rules
// by which every peer, in whatever language, makes its messages. `tests/foreign/support.rs` documents both.

const fs = require('fs');
const path = require('path');
const readline = require('readline');

const {alphabet, values, delimiters} = require(path.join(__dirname, '..', 'speech.json'));

// Topics with a listener of their own. Their messages are printed from `message.<topic>`, all others from `message`,
// so that both kinds of event have to work for every line to appear.
const TOPICS = ['value', 'count', 'big', 'missing', 'none', 'end'];

const [version, socketFile] = process.argv.slice(2);
const name = `socket-ipc-${version}`;
const {Client, Server} = require(name);

// Standard output is a pipe, and writing to a pipe is synchronous on Linux: nothing is lost when the process ends.
const print = (line) => process.stdout.write(JSON.stringify(line) + '\n');

/** Prints an event; its error is printed by the code, where it has one. */
const report = (event) => (error) => print({event, error: error instanceof Error ? error.code || error.message : undefined});

/** Prints the messages that a client or a server receives. */
const listen = (emitter) => {
    const received = (topic, message) => print({event: 'received', topic, message});
    TOPICS.forEach((topic) => emitter.on(`message.${topic}`, (message) => received(topic, message)));
    emitter.on('message', (message, topic) => TOPICS.includes(topic) || received(topic, message));
};

const text = (n) => {
    let text = '';
    for (let k = 0; k < (n * 7) % 40; k++) {
        text += alphabet[(n * 31 + k * 17) % alphabet.length];
    }
    return text;
};

const big = (bytes) => {
    const unit = 'a megabyte of ☃ and é ';
    const length = Buffer.byteLength(unit);
    return unit.repeat(Math.floor(bytes / length)) + 'x'.repeat(bytes % length);
};

// The receiver of 0.2 splits at these bytes, and its sender does not escape them: no receiver can decode a message that
// holds them. So this peer doesn't send it. (Messages of others with these bytes arrive, because those are escaped.)
const sendable = (message) => version !== '0.2.0' || !JSON.stringify(message).includes('%EOM%');

/** Takes commands, one a line, until `close`. */
const takeCommands = ({send, close}) => {
    const commands = {
        values: () => values.forEach((message) => send('value', message)),
        delimiters: () => delimiters.filter(sendable).forEach(({topic, message}) => send(topic, message)),
        count: (from, to) => {
            for (let n = from; n < to; n++) {
                send('count', {n, text: text(n)});
            }
        },
        big: (bytes) => send('big', {text: big(bytes)}),
        missing: () => send('missing', undefined),
        none: () => send('', 'under no topic'),
        // An envelope without a topic: JSON drops what is undefined.
        untopical: () => send(undefined, 'without a topic'),
    };

    let closing = false;
    const lines = readline.createInterface({input: process.stdin});
    lines.on('line', (line) => {
        const [command, ...args] = line.split(' ');
        if (command === 'say') {
            send(args[0], JSON.parse(args.slice(1).join(' ')));
        } else if (command === 'close') {
            // Without standard input, the process ends by itself once the library holds nothing open.
            closing = true;
            lines.close();
            process.stdin.destroy();
            close();
        } else {
            commands[command](...args.map(Number));
        }
    });
    // The test has ended.
    lines.on('close', () => closing || process.exit(1));
};

// `package.json` of an alias still says which version it is.
const manifest = path.join(path.dirname(require.resolve(name)), '..', 'package.json');
const installed = JSON.parse(fs.readFileSync(manifest, 'utf8'));
print({event: 'ready', peer: `${installed.name} ${installed.version} on Node ${process.version}`});

module.exports = {Client, Server, socketFile, report, listen, takeCommands};
