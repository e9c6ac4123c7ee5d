//! `types`: the types of a server's messages, for programs in other languages.

use socket_ipc::description::Integers;

use crate::arguments::{IntegersName, Language, Types};
use crate::description;
use crate::failure::{Failure, Status};
use crate::output::{self, Reader};

pub(crate) fn run(arguments: Types) -> Result<(), Failure> {
    let Types { server, lang, client, integers, timeout, patience } = arguments;
    let integers = match integers {
        IntegersName::Number => Integers::Number,
        IntegersName::Bigint => Integers::Bigint,
    };
    if client && matches!(lang, Language::JsonSchema) {
        return Err(Failure::new(
            Status::Usage,
            "--client: a JSON schema has no client; expected --lang typescript or python",
        ));
    }
    if integers == Integers::Bigint && !matches!(lang, Language::Typescript) {
        return Err(Failure::new(Status::Usage, "--integers: only a client in TypeScript has a choice"));
    }
    let described = description::read(&description::of(&server, &patience, timeout)?)?;
    output::print(&Reader::find().source(match lang {
        Language::Typescript if client => described.typescript_client(integers),
        Language::Typescript => described.typescript(),
        Language::Python if client => described.python_client(),
        Language::Python => described.python(),
        Language::JsonSchema => format!("{:#}\n", described.json_schema()),
    }))
}
