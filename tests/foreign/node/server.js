'use strict';

// node server.js <version of the npm package> <socket file>
//
// The npm package's own Server, unchanged: prints its events and the messages that it receives, and sends what it
// is told to send to the client that connected last.

const {Server, socketFile, report, listen, takeCommands} = require('./peer');

const server = new Server({socketFile});
let latest;

['listening', 'close', 'closed', 'error'].forEach((event) => server.on(event, report(event)));
server.on('connection', (clientId, socket) => {
    latest = clientId;
    report('connection')();
    // Since 0.2 the package has no event for this, and refers to the socket's. As in most programs, the socket's `error`
    // has no listener: a connection that is reset ends this process.
    socket.on('close', report('connectionClose'));
});
listen(server);
takeCommands({
    send: (topic, message) => (topic === 'value' ? server.broadcast(topic, message) : server.send(topic, message, latest)),
    close: () => server.close(),
});
server.listen();
