//! "Did you mean": the name that is nearest to one that does not exist.

use socket_ipc::Description;
use socket_ipc::description::Direction;

use crate::description;

/// The nearest of some names, if one is near enough to be meant.
pub(crate) fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let near_enough = 1 + name.chars().count() / 4;
    let distance = |other: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
    let nearest = names.into_iter().map(|other| (distance(other), other)).min()?;
    (nearest.0 <= near_enough).then_some(nearest.1)
}

/// Why a server does not take messages of a topic, as it describes itself; `None` if it does.
pub(crate) fn not_taken(description: &Description, topic: &str) -> Option<String> {
    let is_known = description.topic(topic, Direction::TowardServer).is_some();
    (!is_known && !description::is_about_the_server(topic))
        .then(|| format!("the server has no topic `{topic}`{}", meant(description, topic)))
}

/// What the server has in place of a topic that is requested and has no responder.
pub(crate) fn in_place_of(description: &Description, topic: &str) -> String {
    match description.topic(topic, Direction::TowardServer) {
        Some(_) => "; it takes it as a message: use `send`".to_owned(),
        None => meant(description, topic),
    }
}

fn meant(description: &Description, topic: &str) -> String {
    let topics = description.topics.iter().filter(|topic| topic.direction == Direction::TowardServer);
    let meant = nearest(topic, topics.map(|topic| &*topic.topic));
    meant.map_or_else(String::new, |meant| format!(", did you mean `{meant}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_is_meant_and_far_ones_are_not() {
        let names = ["add", "follow", "submit"];
        for (name, expected) in [
            ("ad", Some("add")),
            ("Follow", Some("follow")),
            ("fololw", Some("follow")),
            ("sumbit", Some("submit")),
            ("x", None),
            ("subtract", None),
        ] {
            assert_eq!(nearest(name, names), expected, "{name}");
        }
        assert_eq!(nearest("a", []), None);
    }
}
