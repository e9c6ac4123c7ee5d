'use strict';

const {Client, Server} = require('@crussell52/socket-ipc');
const {side, path, clients, ready, serving, playing} = require('./play');

if (side === 'server') {
    const server = new Server({socketFile: path});
    const {connected, heard, answered} = serving({
        broadcast: (message) => server.broadcast('bench', message),
        reply: (topic, message, client) => server.send(topic, message, client),
    });
    server.on('connection', connected);
    server.on('message.bench', heard);
    server.on('message.text', heard);
    server.on('message.answer', answered);
    server.on('listening', ready);
    server.on('error', (error) => { throw error; });
    server.listen();
} else {
    const all = Array.from({length: clients}, () => new Client({socketFile: path}));
    const {connected, heard, answered} = playing(all.map((client) => (topic, message) => client.send(topic, message)));
    let here = 0;
    all.forEach((client, number) => {
        client.on('connect', () => ++here === clients && connected());
        client.on('message.bench', (message) => heard(message, number));
        client.on('message.answer', answered);
        client.on('error', (error) => { throw error; });
        client.connect();
    });
}
