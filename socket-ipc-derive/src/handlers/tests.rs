//! What the attribute writes: a few whole expansions, and what becomes of code that is half typed.

use std::str::FromStr as _;

use proc_macro2::TokenStream;

use super::handlers;

fn tokens(text: &str) -> TokenStream {
    TokenStream::from_str(text).unwrap()
}

/// Expands a block; returns what stands beside the block, which is unchanged.
fn expanded(attribute: &str, block: &str) -> (String, String) {
    let expanded = handlers(tokens(attribute), tokens(block)).to_string();
    let (before, after) = expanded.split_once(&tokens(block).to_string()).expect("the block stays as it is");
    (before.to_owned(), after.to_owned())
}

/// The expansion of a block without mistakes.
fn expansion(attribute: &str, block: &str) -> String {
    let (errors, expansion) = expanded(attribute, block);
    assert_eq!(errors, "");
    expansion
}

#[test]
fn handlers_on_a_server_expands_to_an_impl_a_topic() {
    let expanded = expansion(
        "server = Jobs",
        "impl<T> Desk<T> where T: Send {
            fn note(&self, note: Note, context: Context<'_, Jobs>) {}
            async fn submit(&self, Submit { command }: Submit) -> Result<Submitted, SubmitError> { command.parse() }
        }",
    );
    let expected = tokens(
        "#[allow(deprecated)]
        const _: () = {
            #[automatically_derived]
            impl<T> ::socket_ipc::Handles<Note, ::socket_ipc::Server<Jobs> > for Desk<T> where T: Send {
                fn attach(
                    __topic: ::socket_ipc::Attaching<'_, Self, Note, ::socket_ipc::Server<Jobs> >,
                ) -> ::core::result::Result<(), ::socket_ipc::RegisterError> {
                    __topic.with_context_type::<Context<'static, Jobs> >().method_with_context(Self::note)
                }
            }
            #[automatically_derived]
            impl<T> ::socket_ipc::Handles<Submit, ::socket_ipc::Server<Jobs> > for Desk<T> where T: Send {
                fn attach(
                    __topic: ::socket_ipc::Attaching<'_, Self, Submit, ::socket_ipc::Server<Jobs> >,
                ) -> ::core::result::Result<(), ::socket_ipc::RegisterError> {
                    __topic.async_method(|__handlers, __message,| async move {
                        Self::submit(&__handlers, __message,).await
                    })
                }
            }
        };",
    );
    assert_eq!(compact(&expanded), compact(&expected.to_string()));
}

#[test]
fn handlers_on_a_client_without_protocol_expands_to_the_list_of_topics_too() {
    let expanded = expansion(
        "client, crate = my::ipc",
        "#[cfg(unix)] impl Screen { #[cfg(feature = \"log\")] fn log(&self, log: Log<'_>) {} }",
    );
    let expected = tokens(
        "#[cfg(unix)]
        #[allow(deprecated)]
        const _: () = {
            #[cfg(feature = \"log\")]
            #[automatically_derived]
            impl my::ipc::Handles<Log<'static>, my::ipc::Client> for Screen {
                fn attach(
                    __topic: my::ipc::Attaching<'_, Self, Log<'static>, my::ipc::Client>,
                ) -> ::core::result::Result<(), my::ipc::RegisterError> {
                    __topic.method(Self::log)
                }
            }
            #[automatically_derived]
            impl my::ipc::__private::HandlersBlock<my::ipc::Client> for Screen {
                fn attach_block(
                    __all: &my::ipc::__private::AttachingAll<'_, Self, my::ipc::Client>,
                ) -> ::core::result::Result<(), my::ipc::RegisterError> {
                    #[cfg(feature = \"log\")]
                    my::ipc::__private::AttachingAll::topic::<Log<'static> >(__all)?;
                    ::core::result::Result::Ok(())
                }
            }
        };",
    );
    assert_eq!(compact(&expanded), compact(&expected.to_string()));
}

/// Without spaces, which differ between tokens that were parsed and tokens that were quoted.
fn compact(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn half_typed_body_is_no_mistake() {
    for body in ["note.", "let x = ", "match note", "self.;;; fn fn impl", "for in", "#", "{ { ( ) } }"] {
        let block =
            format!("impl Desk {{ fn note(&self, note: Note) {{ {body} }} fn add(&self, add: Add) {{}} }}");
        let expanded = compact(&expansion("", &block));
        assert!(expanded.contains("method(Self::note)") && expanded.contains("method(Self::add)"), "{body}");
    }
}

#[test]
fn half_typed_method_is_reported_and_the_others_are_handlers() {
    let half_typed = [
        "fn",
        "fn note",
        "fn note(",
        "fn note()",
        "fn note(&)",
        "fn note(&self",
        "fn note(&self,",
        "fn note(&self, note",
        "fn note(&self, note:",
        "fn note(&self, note: Note<",
        "fn note(&self, note: Note)",
        "fn note(&self, note: Note) ->",
        "fn note(&self, note: Note) -> Result<(), ",
        "async",
        "async fn",
        "pub",
        "pub(crate",
        "#",
        "#[cfg",
        "not",
    ];
    for half in half_typed {
        // An editor closes what is open.
        let open = |bracket| half.matches(bracket).count();
        let (round, square) = (open('(') - open(')'), open('[') - open(']'));
        let half = format!("{half}{}{}", ")".repeat(round), "]".repeat(square));
        let block = format!("impl Desk {{ fn add(&self, add: Add) -> u8 {{ 5 }} {half} }}");
        let (errors, expansion) = expanded("", &block);
        assert!(errors.contains("compile_error"), "{half}: {errors}");
        assert!(compact(&expansion).contains("method(Self::add)"), "{half}: {expansion}");
        if !half.starts_with("fn") {
            // With the method after it, it may be whole.
            continue;
        }
        let before = format!("impl Desk {{ {half} fn add(&self, add: Add) -> u8 {{ 5 }} }}");
        let (errors, _) = expanded("", &before);
        assert!(errors.contains("compile_error"), "{half}: {errors}");
    }
}

#[test]
fn half_typed_head_or_attribute_leaves_the_block_unchanged() {
    for head in ["impl", "impl Desk", "impl<T Desk {}", "impl Desk where {}", "impl Desk<", "imp Desk {}"] {
        let (errors, _) = expanded("", head);
        assert!(errors.contains("compile_error") || head == "impl Desk where {}", "{head}: {errors}");
    }
    for attribute in ["server =", "server = ,", "server = Jobs client", "= Jobs", "crate", "server = Jobs<"] {
        let (errors, expansion) = expanded(attribute, "impl Desk { fn note(&self, note: Note) {} }");
        assert!(errors.contains("compile_error"), "{attribute}: {errors}");
        // It handles the topic on every endpoint, so that nothing else is reported.
        assert!(compact(&expansion).contains("Handles<Note,__E>forDesk"), "{attribute}: {expansion}");
    }
}
