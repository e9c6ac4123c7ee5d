'use strict';

const {IPC} = require('node-ipc');
const {endpoint, path, clients, ready, serving, playing} = require('./play');

const open = () => {
    const ipc = new IPC();
    Object.assign(ipc.config, {silent: true, retry: 100, maxConnections: 2000});
    return ipc;
};

if (endpoint === 'server') {
    const ipc = open();
    const {connected, onMessage, onResult} = serving({
        broadcast: (message) => ipc.server.broadcast('bench', message),
        reply: (topic, message, socket) => ipc.server.emit(socket, topic, message),
    });
    ipc.serve(path, () => {
        ipc.server.on('connect', connected);
        ipc.server.on('bench', onMessage);
        ipc.server.on('text', onMessage);
        ipc.server.on('result', onResult);
        ready();
    });
    ipc.server.start();
} else {
    const all = Array.from({length: clients}, open);
    const {connected, onMessage, onResult} = playing(all.map((ipc) => (topic, message) => ipc.of.server.emit(topic, message)));
    let here = 0;
    all.forEach((ipc, number) => ipc.connectTo('server', path, () => {
        ipc.of.server.on('connect', () => ++here === clients && connected());
        ipc.of.server.on('bench', (message) => onMessage(message, number));
        ipc.of.server.on('result', onResult);
    }));
}
