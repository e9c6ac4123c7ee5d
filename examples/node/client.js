'use strict';

// A program on the Node library says hello to a server in Rust, and ends once it has been greeted.
//
// In one terminal, start the server:
//
//     cargo run --example node_hello_server
//
// In another:
//
//     cd examples/node
//     npm ci
//     node client.js
//
// Both take the path of the socket as an argument; the default is socket-ipc-node-hello.sock in the directory for
// temporary files. The client does not depend on the server's library: `server.js` beside this file works as well.

const os = require('os');
const path = require('path');
const {Client} = require('@crussell52/socket-ipc');

const socketFile = process.argv[2] || path.join(os.tmpdir(), 'socket-ipc-node-hello.sock');
const client = new Client({socketFile});

client.on('connect', () => {
    console.log(`connected to ${socketFile}`);
    client.send('hello', {name: 'Node'});
});

// All topics.
client.on('message', (message, topic) => console.log(topic, message));

// One topic.
client.on('message.greeting', (greeting) => {
    console.log(greeting.text);
    client.close();
});

client.on('connectError', (error) => console.log(`no server yet: ${error.message}`));
client.on('disconnect', () => console.log('lost the server'));
client.on('error', (error) => console.error(error));

client.connect();
