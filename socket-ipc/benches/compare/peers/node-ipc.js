'use strict';

const {IPC} = require('node-ipc');
const {side, path, clients, ready, serving, playing} = require('./play');

const open = () => {
    const ipc = new IPC();
    Object.assign(ipc.config, {silent: true, retry: 100, maxConnections: 2000});
    return ipc;
};

if (side === 'server') {
    const ipc = open();
    const {connected, heard, answered} = serving({
        broadcast: (message) => ipc.server.broadcast('bench', message),
        reply: (topic, message, socket) => ipc.server.emit(socket, topic, message),
    });
    ipc.serve(path, () => {
        ipc.server.on('connect', connected);
        ipc.server.on('bench', heard);
        ipc.server.on('text', heard);
        ipc.server.on('answer', answered);
        ready();
    });
    ipc.server.start();
} else {
    const all = Array.from({length: clients}, open);
    const {connected, heard, answered} = playing(all.map((ipc) => (topic, message) => ipc.of.server.emit(topic, message)));
    let here = 0;
    all.forEach((ipc, number) => ipc.connectTo('server', path, () => {
        ipc.of.server.on('connect', () => ++here === clients && connected());
        ipc.of.server.on('bench', (message) => heard(message, number));
        ipc.of.server.on('answer', answered);
    }));
}
