//! Lines of requests, replies and control lines, in every combination of their keys.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::wire;

/// Values of `id` and `re`: valid ones in each form, and others.
const IDS: [&str; 14] = [
    "7",
    "0",
    "7.0",
    "70e-1",
    "-7",
    "0.0",
    "7.5",
    "18446744073709551616",
    "\"a-7\"",
    "\"\"",
    "\"\\u0037\"",
    "null",
    "true",
    "[7]",
];

/// Messages: values, ids, renewals, and those of error replies with and without `data`.
const MESSAGES: [&str; 12] = [
    "null",
    "5",
    "8",
    "8.0",
    "\"a-8\"",
    "[8,65536]",
    "[\"a-8\",1e3]",
    "{\"left\":2,\"right\":3}",
    "{\"code\":\"failed\",\"text\":\"the queue holds 100 jobs\"}",
    "{\"code\":\"failed\",\"text\":\"\",\"data\":null}",
    "{\"code\":\"failed\",\"text\":\"full\",\"data\":{\"QueueFull\":{\"max\":100}}}",
    "{\"id\":7,\"re\":0}",
];

/// The first byte chooses the wire, as in the properties.
pub(super) fn line() -> impl Strategy<Value = Vec<u8>> {
    let topics = ["t", "error", "sum", "socket-ipc.cancel", "socket-ipc.more", "socket-ipc.other", ""];
    let key = prop_oneof![
        4 => (Just("id"), select(IDS.to_vec())),
        6 => (Just("re"), select(IDS.to_vec())),
        2 => (Just("re"), select(vec!["0", "null"])),
        3 => (Just("error"), select(vec!["true", "false", "null", "\"true\""])),
        1 => (Just("started"), select(vec!["true", "false"])),
        1 => (Just("more"), select(vec!["true", "false"])),
        1 => (Just("window"), select(vec!["262144", "null", "-1", "\"1\""])),
        1 => (select(vec!["trace", "unknown"]), select(MESSAGES.to_vec())),
    ];
    let any = (select(topics.to_vec()), select(MESSAGES.to_vec()), vec(key, 0..4));
    let control = (
        select(vec!["socket-ipc.cancel", "socket-ipc.more"]),
        select(MESSAGES[2..7].to_vec()),
        Just(vec![("re", "0")]),
    );
    // As this library writes them, or in any order.
    let order = prop_oneof![
        2 => Just((0..6).collect::<Vec<usize>>()),
        1 => Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
    ];
    let spaces = prop_oneof![3 => Just(""), 1 => Just(" "), 1 => Just("\r\t")];
    let line = prop_oneof![3 => any, 1 => control];
    (0_u8..7, line, order, spaces).prop_map(|(number, (topic, message, further), order, space)| {
        let topic = format!("\"{topic}\"");
        let mut pairs = vec![("topic", topic.as_str()), (wire(number).message_key(), message)];
        pairs.extend(further);
        let ordered = order.into_iter().filter_map(|at| pairs.get(at));
        let pairs: Vec<_> =
            ordered.map(|(key, value)| format!("\"{key}\"{space}:{space}{value}{space}")).collect();
        [vec![number], format!("{{{}}}", pairs.join(",")).into_bytes()].concat()
    })
}
