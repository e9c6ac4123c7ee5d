// The compiler rejects the lines that end in `mistake`, and no others.

import {Errors, Replies, ReplyTopics, Streams, typed} from './topics';

declare const client: any;
const chat = typed(client);

chat.send('hello', {name: 'Node', mood: {is: 'Happy'}});
chat.send('hello', {nam: 'Node', mood: {is: 'Happy'}}); // mistake
chat.send('hello', {name: 'Node'}); // mistake
chat.send('hello', {name: 7, mood: {is: 'Happy'}}); // mistake
chat.send('hello', {name: 'Node', mood: {is: 'Hungry'}}); // mistake
chat.send('hello', {name: 'Node', mood: {is: 'Puzzled'}}); // mistake
chat.send('hullo', {name: 'Node', mood: {is: 'Happy'}}); // mistake
chat.send('greeting', {text: 'Hello!', mood: {is: 'Happy'}, number: null}); // mistake
chat.send('add', {left: 1, right: '2'}); // mistake
chat.on('greeting', (greeting) => console.log(greeting.text.length));
chat.on('greeting', (greeting) => console.log(greeting.txt)); // mistake
chat.on('greeting', (greeting) => console.log(greeting.number + 1)); // mistake
chat.on('sum', (sum) => console.log(sum + 1));
chat.on('sum', (sum) => console.log(sum.length)); // mistake
chat.on('hello', () => {}); // mistake
chat.on('error', ({code}) => console.log(code));
chat.on('submit', () => {}); // mistake
const number: Replies['submit'] = {id: 7};
const text: Replies['submit'] = {id: 'seven'}; // mistake
const full: Errors['submit'] = {QueueFull: {max: 100}};
const other: Errors['submit'] = {QueueFull: {most: 100}}; // mistake
const event: Streams['follow'] = {Ended: {status: 0}};
const ended: Streams['follow'] = {Ended: {status: 'well'}}; // mistake
const job: Errors['follow'] = 'NoSuchJob';
const reply: Replies['follow'] = event; // mistake
const single: Streams['submit'] = {id: 7}; // mistake
const untyped: Errors['add'] = 7; // mistake
const without: ReplyTopics['submit'] = 'submit'; // mistake
