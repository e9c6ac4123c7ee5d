'use strict';

// node server.js <version of the npm package> <socket file>
//
// The npm package's own Server, unchanged: prints its events and what it hears, says what it is told to say to
// the client that came last.

const {Server, socketFile, tell, listen, obey} = require('./peer');

const server = new Server({socketFile});
let latest;

['listening', 'close', 'closed', 'error'].forEach((event) => server.on(event, tell(event)));
server.on('connection', (clientId, socket) => {
    latest = clientId;
    tell('connection')();
    // Since 0.2 the package has no event for this; it refers to the socket's. There is no listener for the
    // socket's `error` here, as in most programs: a connection that is reset ends this process.
    socket.on('close', tell('connectionClose'));
});
listen(server);
obey({
    say: (topic, message) => (topic === 'value' ? server.broadcast(topic, message) : server.send(topic, message, latest)),
    close: () => server.close(),
});
server.listen();
