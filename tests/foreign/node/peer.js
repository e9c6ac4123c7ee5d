'use strict';

// What client.js and server.js share: the commands that a peer takes, the lines that it prints, and the rules
// by which every peer, in whatever language, makes up what it says. `tests/foreign/support.rs` documents both.

const fs = require('fs');
const path = require('path');
const readline = require('readline');

const {alphabet, values, ends} = require(path.join(__dirname, '..', 'speech.json'));

// Topics with a listener of their own. What they hear is printed from `message.<topic>`, all else from the
// catch-all `message`, so that both kinds of event have to work for every line to appear.
const TOPICS = ['value', 'count', 'big', 'missing', 'none', 'end'];

const [version, socketFile] = process.argv.slice(2);
const name = `socket-ipc-${version}`;
const {Client, Server} = require(name);

// Standard output is a pipe, and writing to a pipe is synchronous on Linux: nothing is lost when the process ends.
const print = (line) => process.stdout.write(JSON.stringify(line) + '\n');

/** Prints that an event fired; an error that came with it is told by its code, where it has one. */
const tell = (event) => (error) => print({event, error: error instanceof Error ? error.code || error.message : undefined});

/** Prints what a client or a server hears. */
const listen = (emitter) => {
    const heard = (topic, message) => print({event: 'heard', topic, message});
    TOPICS.forEach((topic) => emitter.on(`message.${topic}`, (message) => heard(topic, message)));
    emitter.on('message', (message, topic) => TOPICS.includes(topic) || heard(topic, message));
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

// The receiver of 0.2 cuts wherever it sees these bytes, and its sender does nothing about them: a message that
// holds them can't be understood by anybody, another Node program included. So this peer doesn't say it. (What
// others say to it in such words it hears, because they are escaped on the way.)
const sayable = (message) => version !== '0.2.0' || !JSON.stringify(message).includes('%EOM%');

/** Takes commands, one a line, until `close`. */
const obey = ({say, close}) => {
    const commands = {
        values: () => values.forEach((message) => say('value', message)),
        ends: () => ends.filter(sayable).forEach(({topic, message}) => say(topic, message)),
        count: (from, to) => {
            for (let n = from; n < to; n++) {
                say('count', {n, text: text(n)});
            }
        },
        big: (bytes) => say('big', {text: big(bytes)}),
        missing: () => say('missing', undefined),
        none: () => say('', 'under no topic'),
        // An envelope without a topic: JSON drops what is undefined.
        untopical: () => say(undefined, 'without a topic'),
    };

    let closing = false;
    const lines = readline.createInterface({input: process.stdin});
    lines.on('line', (line) => {
        const [command, ...args] = line.split(' ');
        if (command === 'close') {
            // With standard input let go, the process ends by itself once the library holds on to nothing.
            closing = true;
            lines.close();
            process.stdin.destroy();
            close();
        } else {
            commands[command](...args.map(Number));
        }
    });
    // Nobody is left to listen.
    lines.on('close', () => closing || process.exit(1));
};

// `package.json` of an alias still says which version it is.
const manifest = path.join(path.dirname(require.resolve(name)), '..', 'package.json');
const installed = JSON.parse(fs.readFileSync(manifest, 'utf8'));
print({event: 'ready', peer: `${installed.name} ${installed.version} on Node ${process.version}`});

module.exports = {Client, Server, socketFile, tell, listen, obey};
