//! `types`: the types of a server's messages, for programs in other languages.

use crate::arguments::{Language, Types};
use crate::description;
use crate::failure::Failure;
use crate::output::{self, Reader};

pub(crate) fn run(arguments: Types) -> Result<(), Failure> {
    let Types { server, lang, timeout, patience } = arguments;
    let described = description::read(&description::of(&server, &patience, timeout)?)?;
    output::print(&Reader::find().source(match lang {
        Language::Typescript => described.typescript(),
        Language::JsonSchema => format!("{:#}\n", described.json_schema()),
    }))
}
