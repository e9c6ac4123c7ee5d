// A program on the Node library, with the types that a server in Rust describes: `topics.ts` beside this file is
// generated.

import {Errors, Greeting, Mood, Replies, ReplyTopics, typed} from './topics';

// Neither has types of its own.
declare function require(name: string): any;
declare const process: {argv: string[]};

const {Client} = require('@crussell52/socket-ipc');
const client = new Client({socketFile: process.argv[2]});
const chat = typed(client);

const describe = (mood: Mood): string => (mood.is === 'Puzzled' ? `puzzled by ${mood.by}` : mood.is.toLowerCase());

// The topic of a reply is a type, too, and so are its message and the data of an error reply.
const reply: ReplyTopics['add'] = 'sum';
const five: Replies['add'] = 5;
const full: Errors['submit'] = {QueueFull: {max: 100}};
console.log(`${five} ${full.QueueFull.max}`);

client.on('connect', () => chat.send('hello', {name: 'Node', mood: {is: 'Puzzled', by: 'types'}}));

chat.on('greeting', (greeting: Greeting) => {
    console.log(`${greeting.text} You are ${describe(greeting.mood)}, number ${greeting.number}.`);
    chat.send('add', {left: 2, right: 3});
});

chat.on(reply, (sum) => {
    console.log(`2 + 3 = ${sum.toFixed(1)}`);
    chat.send('add', {left: 255, right: 1});
});

chat.on('error', ({code, text}) => {
    console.log(`error reply (${code}): ${text}`);
    client.close();
});

client.connect();
