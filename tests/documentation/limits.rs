//! The numbers in the documentation are those of the constants.

use std::time::Duration;

use socket_ipc::{Delay, limits};

const TABLE: &str = include_str!("../../socket-ipc/src/limits/mod.rs");
const CHAPTER: &str = include_str!("../../socket-ipc/src/guide/limits.md");
/// The files whose options state their defaults.
const OPTIONS: [&str; 3] = [
    include_str!("../../socket-ipc/src/endpoint/options.rs"),
    include_str!("../../socket-ipc/src/server/builder.rs"),
    include_str!("../../socket-ipc/src/client/builder.rs"),
];

/// Every limit as the documentation has to state it, made from its constant.
fn documented() -> Vec<(&'static str, String)> {
    fn bytes(count: usize) -> String {
        match count {
            mib if mib % (1024 * 1024) == 0 => format!("{} MiB", mib / 1024 / 1024),
            kib if kib % 1024 == 0 => format!("{} KiB", kib / 1024),
            bytes => format!("{bytes} bytes"),
        }
    }
    fn number(milliseconds: u128) -> String {
        format!("{}", milliseconds as f64 / 1000.0)
    }
    fn time(time: Duration) -> String {
        match time.as_millis() {
            milliseconds @ ..1000 => format!("{milliseconds} ms"),
            milliseconds => format!("{} s", number(milliseconds)),
        }
    }
    fn delay(delay: Delay) -> String {
        match [delay.shortest(), delay.longest()].map(|end| end.as_millis()) {
            [shortest @ ..1000, longest] => format!("{shortest} to {longest} ms"),
            [shortest, longest] => format!("{} to {} s", number(shortest), number(longest)),
        }
    }
    vec![
        ("MESSAGE_LEN", bytes(limits::MESSAGE_LEN)),
        ("TOPIC_LEN", bytes(limits::TOPIC_LEN)),
        ("OUTBOX_LEN", bytes(limits::OUTBOX_LEN)),
        ("OUTBOX_TOTAL_LEN", bytes(limits::OUTBOX_TOTAL_LEN)),
        ("INBOX_TOTAL_LEN", bytes(limits::INBOX_TOTAL_LEN)),
        ("OUTBOX_HIGH_WATER", bytes(limits::OUTBOX_HIGH_WATER)),
        ("READ_AHEAD_LEN", bytes(limits::READ_AHEAD_LEN)),
        ("SUBSCRIPTION_LEN", format!("{} messages", limits::SUBSCRIPTION_LEN)),
        ("SUBSCRIPTION_BYTES", bytes(limits::SUBSCRIPTION_BYTES)),
        ("EVENT_STREAM_LEN", format!("{} events", limits::EVENT_STREAM_LEN)),
        ("MAX_REQUESTS", limits::MAX_REQUESTS.to_string()),
        ("STREAM_WINDOW", bytes(limits::STREAM_WINDOW as usize)),
        ("ITEM_COST", bytes(limits::ITEM_COST)),
        ("REQUEST_TIMEOUT", time(limits::REQUEST_TIMEOUT)),
        ("WRITE_STALL", time(limits::WRITE_STALL)),
        ("INCOMPLETE_TIMEOUT", time(limits::INCOMPLETE_TIMEOUT)),
        ("MAX_CLIENTS", limits::MAX_CLIENTS.to_string()),
        ("MAX_GROUPS", limits::MAX_GROUPS.to_string()),
        ("GROUP_NAME_LEN", bytes(limits::GROUP_NAME_LEN)),
        ("DESCRIBED_GROUPS", limits::DESCRIBED_GROUPS.to_string()),
        (
            "ACCEPT_PAUSE",
            format!(
                "{}, doubling to {}",
                time(limits::ACCEPT_PAUSE.shortest()),
                time(limits::ACCEPT_PAUSE.longest())
            ),
        ),
        ("CONNECT_TIMEOUT", time(limits::CONNECT_TIMEOUT)),
        ("RECONNECT_DELAY", delay(limits::RECONNECT_DELAY)),
        ("RETRY_DELAY", delay(limits::RETRY_DELAY)),
        ("DRAIN", time(limits::DRAIN)),
        ("LINGER", time(limits::LINGER)),
        ("PROBE_INTERVAL", time(limits::PROBE_INTERVAL)),
        ("WATCH_INTERVAL", time(limits::WATCH_INTERVAL)),
        ("RAW_LEN", bytes(limits::RAW_LEN)),
        ("MODE", format!("{:04o}", limits::MODE)),
    ]
}

fn documented_value(name: &str) -> String {
    let (_, value) = documented()
        .into_iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("{name} is not known here"));
    value
}

/// Whether `text` begins with the number `value`, and not with a longer number.
fn begins_with(text: &str, value: &str) -> bool {
    text.strip_prefix(value).is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
}

#[test]
fn limits_table_has_every_constant_with_its_value() {
    let constants: Vec<_> = TABLE
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    let mut rows: Vec<_> =
        TABLE.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split_once("`] | ")).collect();
    for (name, row) in &rows {
        let value = documented_value(name);
        assert!(begins_with(row, &value), "{name} is {value}, and documented as {row}");
    }
    let mut missing = constants.clone();
    missing.retain(|constant| !rows.iter().any(|(name, _)| name == constant));
    assert_eq!(missing, [""; 0], "limits that the table lacks");
    rows.retain(|(name, _)| !constants.contains(name));
    assert_eq!(rows, [("", ""); 0], "rows of no limit");
    assert_eq!(documented().len(), constants.len());
}

#[test]
fn option_docs_state_the_value_of_their_constant() {
    let mut checked = Vec::new();
    for text in OPTIONS {
        // As one line: a sentence may be broken anywhere.
        let text = text
            .lines()
            .map(|line| line.trim().trim_start_matches("///").trim())
            .collect::<Vec<_>>()
            .join(" ");
        for (at, link) in text.match_indices("](crate::limits::") {
            let name_and_rest = &text[at + link.len()..];
            let (name, rest) = name_and_rest.split_once(')').unwrap();
            let value = rest
                .trim_start()
                .strip_prefix('(')
                .unwrap_or_else(|| panic!("{name} has no number: {rest:.40}"));
            // The unit is in the sentence before.
            let expected = documented_value(name).replace(" bytes", "");
            assert!(
                begins_with(
                    value.trim_start_matches('`').trim_start_matches("0o").trim_start_matches('0'),
                    expected.trim_start_matches('0')
                ),
                "{name} is {expected}, and documented as {value:.40}"
            );
            checked.push(name.to_owned());
        }
    }
    checked.sort();
    checked.dedup();
    assert!(checked.len() >= 12, "only {checked:?} were found");
}

#[test]
fn chapter_has_a_row_for_every_limit_with_its_value() {
    for (name, value) in documented() {
        let rows: Vec<_> =
            CHAPTER.lines().filter_map(|line| line.strip_prefix(&format!("| `{name}` | "))).collect();
        let [row] = rows[..] else { panic!("{} rows of {name} in the chapter", rows.len()) };
        assert!(begins_with(row, &value), "{name} is {value}, and the chapter says {row}");
    }
}
