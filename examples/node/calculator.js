'use strict';

// A program on the Node library asks a server in Rust, answers a question of it, and ends.
//
// In one terminal, start the server:
//
//     cargo run --example node_calculator
//
// In another:
//
//     cd examples/node
//     npm ci
//     node calculator.js
//
// Both take the path of the socket as an argument, if it is not to be socket-ipc-node-calculator.sock in the directory
// for temporary files.

const os = require('os');
const path = require('path');
const {Client} = require('@crussell52/socket-ipc');

const socketFile = process.argv[2] || path.join(os.tmpdir(), 'socket-ipc-node-calculator.sock');
const client = new Client({socketFile});

// A question is a message.
client.on('connect', () => client.send('add', {left: 2, right: 3}));

// Its answer is a message under a topic of its own.
client.on('message.sum', (sum) => {
    console.log(`2 + 3 = ${sum}`);
    client.send('add', {left: 9e18, right: 9e18});
});

// Or a refusal. Neither says to which question, so one waits for it before the next.
client.on('message.error', ({code, text}) => {
    console.log(`refused (${code}): ${text}`);
    client.close();
});

// The server asks, too; `send` answers.
client.on('message.multiply', ({left, right}) => client.send('product', left * right));

client.on('connectError', (error) => console.log(`no server yet: ${error.message}`));
client.on('disconnect', () => console.log('lost the server'));
client.on('error', (error) => console.error(error));

client.connect();
