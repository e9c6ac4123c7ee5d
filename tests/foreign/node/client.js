'use strict';

// node client.js <version of the npm package> <socket file>
//
// The npm package's own Client, unchanged: prints its events and what it hears, says what it is told to say.

const {Client, socketFile, tell, listen, obey} = require('./peer');

// Short delays only to keep the tests short; how the client comes back is the library's own doing.
const client = new Client({socketFile, retryDelay: 20, reconnectDelay: 20});

['connectError', 'connect', 'reconnect', 'disconnect', 'close', 'closed', 'error'].forEach((event) => {
    client.on(event, tell(event));
});
listen(client);
obey({
    say: (topic, message) => client.send(topic, message),
    close: () => client.close(),
});
client.connect();
