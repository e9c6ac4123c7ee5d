//! Messages that are dispatched as a run, beside the same ones dispatched one by one.

use super::*;
use crate::Topic;

/// A listener that does something else with some numbers.
fn lively(fixture: &Fixture) -> ListenerId {
    let (log, router) = (fixture.log.clone(), Arc::downgrade(&fixture.router));
    let own = Arc::new(Mutex::new(None));
    let known = Arc::clone(&own);
    let id = fixture.router.attach(
        Audience::Topic("number"),
        Typed::<Number, _>::new(move |Number(n), from: u64| {
            let router = router.upgrade().unwrap();
            log.note(format!("{from}: lively {n}"));
            let other = log.clone();
            let also = Raw(move |message: RawMessage<'_>, topic: &str, from: u64| {
                other.note(format!("{from}: also {topic} {message}"));
            });
            match n {
                13 => panic!("unlucky"),
                14 => drop(lock(&known).map(|id| router.off(id))),
                15 => drop(router.attach(Audience::Every, Box::new(also))),
                16 => drop(router.attach(Audience::Topic("number"), Box::new(also))),
                17 => router.close(),
                18 => drop(router.attach(Audience::Topic("other"), Box::new(also))),
                _ => {}
            }
        }),
    );
    *lock(&own) = Some(id);
    id
}

const LINES: [&str; 18] = [
    r#"{"topic":"number","message":1}"#,
    r#"{"topic":"number","message":2}"#,
    r#"{"topic":"number","message": 3 } "#,
    r#"{"topic":"number","message":13}"#,
    r#"{"topic":"number","message":14}"#,
    r#"{"topic":"number","message":15}"#,
    r#"{"topic":"number","message":16}"#,
    r#"{"topic":"number","message":17}"#,
    r#"{"topic":"number","message":18}"#,
    r#"{"topic":"number","message":"no number"}"#,
    r#"{"topic":"number","message":4,"id":5}"#,
    r#"{"topic":"number","message":4,"re":5}"#,
    r#"{"topic":"number","message":4,"further":"ü"}"#,
    r#"{"topic":"number","message":6"#,
    r#"{"topic":"numbers","message":7}"#,
    r#"{"topic":"other","message":8}"#,
    r#"{"message":9,"topic":"number"}"#,
    "no envelope",
];

/// Dispatches lines as a connection does, and returns what happened and how many of them were dispatched in runs.
fn in_runs(fixture: &mut Fixture, lines: &[&str]) -> (Vec<String>, usize) {
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    let (mut rest, mut log, mut in_runs) = (&*text, Vec::new(), 0);
    while !rest.is_empty() {
        let goes_on = |_| {
            in_runs += 1;
            true
        };
        let taken = fixture.router.dispatch_run(&mut fixture.cached, rest, 7, &fixture.log, goes_on);
        log.append(&mut fixture.log.taken());
        rest = &rest[taken..];
        if let Some((line, after)) = rest.split_once('\n') {
            log.append(&mut fixture.dispatch(line));
            rest = after;
        }
    }
    fixture.cached.count();
    (log, in_runs)
}

#[test]
fn router_run_of_messages_is_dispatched_as_each_of_them() {
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut all, mut runs) = (0, 0);
    for _ in 0..5_000 {
        let lines: Vec<_> = (0..rng.usize(1..10))
            .map(|_| if rng.bool() { LINES[rng.usize(..2)] } else { LINES[rng.usize(..LINES.len())] })
            .collect();
        let (mut one_by_one, mut together) = (Fixture::new(), Fixture::new());
        lively(&one_by_one);
        lively(&together);
        let expected: Vec<_> = lines.iter().flat_map(|line| one_by_one.dispatch(line)).collect();
        one_by_one.cached.count();
        let (log, in_runs) = in_runs(&mut together, &lines);
        assert_eq!(log, expected, "{lines:#?}");
        let counted = |fixture: &Fixture| fixture.router.metrics.stats(0, 0, 0).received;
        assert_eq!(counted(&together), counted(&one_by_one), "{lines:#?}");
        (all, runs) = (all + lines.len(), runs + in_runs);
    }
    assert!(runs > all / 4, "{runs} of {all} were dispatched in runs");
}

#[test]
fn router_run_goes_on_as_long_as_it_is_told() {
    let mut fixture = Fixture::new();
    fixture.typed("only");
    let line = r#"{"topic":"number","message":1}"#;
    let lines = format!("{line}\n{line}\n{line}\n");
    let run = |fixture: &mut Fixture, last| {
        let mut left = last;
        let goes_on = |len| {
            assert_eq!(len, line.len() + 1);
            left -= 1;
            left > 0
        };
        fixture.router.dispatch_run(&mut fixture.cached, &lines, 7, &fixture.log, goes_on)
    };
    assert_eq!(run(&mut fixture, 3), 0, "no message shows yet whose run it may be");
    fixture.dispatch(line);
    for count in 1..=3 {
        assert_eq!(run(&mut fixture, count), count * (line.len() + 1));
        assert_eq!(fixture.log.taken(), vec!["7: only 1"; count]);
    }
}

/// Decoding 13 panics.
struct Unlucky;

impl Topic for Unlucky {
    type Message<'m> = Self;
    const NAME: &'static str = "number";
}

impl<'de> serde::Deserialize<'de> for Unlucky {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        assert_ne!(u64::deserialize(deserializer)?, 13, "unlucky");
        Ok(Self)
    }
}

#[test]
fn router_run_ends_at_a_reply_that_panics_as_it_is_decoded() {
    let mut fixture = Fixture::new();
    let log = fixture.log.clone();
    let listener = Typed::<Unlucky, _>::new(move |_, _: u64| log.note("called"));
    fixture.router.attach(Audience::Topic("number"), listener);
    let (plain, unlucky) = (r#"{"topic":"number","message":1}"#, r#"{"topic":"number","message":13}"#);
    assert_eq!(fixture.dispatch(plain), ["called"]);
    let lines = format!("{unlucky}\n{plain}\n{}\n", r#"{"topic":"number","message":13,"re":5}"#);
    let taken = fixture.router.dispatch_run(&mut fixture.cached, &lines, 7, &fixture.log, |_| true);
    assert_eq!(taken, unlucky.len() + plain.len() + 2);
    let log = fixture.log.taken();
    assert!(log.len() == 2 && log[0].contains("panicked") && log[1] == "called", "{log:?}");
}
