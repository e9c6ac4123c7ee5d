'use strict';

const {Client, Server} = require('@crussell52/socket-ipc');
const {endpoint, path, clients, ready, serving, playing} = require('./play');

if (endpoint === 'server') {
    const server = new Server({socketFile: path});
    const {connected, onMessage, onResult} = serving({
        broadcast: (message) => server.broadcast('bench', message),
        reply: (topic, message, client) => server.send(topic, message, client),
    });
    server.on('connection', connected);
    server.on('message.bench', onMessage);
    server.on('message.text', onMessage);
    server.on('message.result', onResult);
    server.on('listening', ready);
    server.on('error', (error) => { throw error; });
    server.listen();
} else {
    const all = Array.from({length: clients}, () => new Client({socketFile: path}));
    const {connected, onMessage, onResult} = playing(all.map((client) => (topic, message) => client.send(topic, message)));
    let here = 0;
    all.forEach((client, number) => {
        client.on('connect', () => ++here === clients && connected());
        client.on('message.bench', (message) => onMessage(message, number));
        client.on('message.result', onResult);
        client.on('error', (error) => { throw error; });
        client.connect();
    });
}
