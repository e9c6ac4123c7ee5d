'use strict';

// A server on the Node library greets each client that says hello, in Node or in Rust.
//
// In one terminal, start the server; it runs until Ctrl-C:
//
//     cd examples/node
//     npm ci
//     node server.js
//
// In another, say hello from Rust, or with `client.js` beside this file:
//
//     cargo run --example node_hello_client
//
// Both take the path of the socket as an argument; the default is socket-ipc-node-hello.sock in the directory for
// temporary files.

const os = require('os');
const path = require('path');
const {Server} = require('@crussell52/socket-ipc');

const socketFile = process.argv[2] || path.join(os.tmpdir(), 'socket-ipc-node-hello.sock');
const server = new Server({socketFile});

// All topics.
server.on('message', (message, topic, clientId) => console.log(clientId, topic, message));

// One topic.
server.on('message.hello', ({name}, clientId) => {
    server.send('greeting', {text: `Hello, ${name}! This is Node.`}, clientId);
});

server.on('connection', (clientId, socket) => {
    console.log(clientId, 'connected');
    // A connection may be reset at any time. Without this listener the reset would end the process.
    socket.on('error', (error) => console.error(clientId, error.message));
    socket.on('close', () => console.log(clientId, 'left'));
});
server.on('listening', () => console.log(`listening at ${socketFile}`));
server.on('error', (error) => console.error(error));

process.on('SIGINT', () => server.close());
server.listen();
