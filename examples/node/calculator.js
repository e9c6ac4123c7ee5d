'use strict';

// A program on the Node library sends requests to a server in Rust, replies to a request of the server, and ends.
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
// Both take the path of the socket as an argument; the default is socket-ipc-node-calculator.sock in the directory for
// temporary files.

const os = require('os');
const path = require('path');
const {Client} = require('@crussell52/socket-ipc');

const socketFile = process.argv[2] || path.join(os.tmpdir(), 'socket-ipc-node-calculator.sock');
const client = new Client({socketFile});

// A request is a plain message.
client.on('connect', () => client.send('add', {left: 2, right: 3}));

// Its reply is a message of the topic that `reply_topic` names in Rust.
client.on('message.sum', (sum) => {
    console.log(`2 + 3 = ${sum}`);
    client.send('add', {left: 9e18, right: 9e18});
});

// An error reply is a message under `error`. Neither names its request, so send the next request only after it.
client.on('message.error', ({code, text}) => {
    console.log(`error reply (${code}): ${text}`);
    client.close();
});

// A request of the server. The reply is a message, too.
client.on('message.multiply', ({left, right}) => client.send('product', left * right));

client.on('connectError', (error) => console.log(`no server yet: ${error.message}`));
client.on('disconnect', () => console.log('lost the server'));
client.on('error', (error) => console.error(error));

client.connect();
