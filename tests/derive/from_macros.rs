//! Types that macros make, and types inside of functions.

use serde::Deserialize;
use socket_ipc::Topic;

use super::decode;

macro_rules! topics {
    ($($vis:vis $ident:ident = $name:literal, $expr:expr;)*) => {$(
        #[derive(Topic, Deserialize)]
        #[topic = $name]
        $vis struct $ident<'a>(&'a str);

        const _: () = {
            #[derive(Topic)]
            #[topic = $expr]
            struct Expr;
            #[derive(Topic)]
            #[topic(name = $expr)]
            struct LongExpr;
            #[derive(Topic)]
            #[topic(name = $name)]
            struct LongLiteral;
            assert!(Expr::NAME.len() == LongExpr::NAME.len());
            assert!(LongLiteral::NAME.len() == $ident::NAME.len());
        };
    )*};
}
topics! {
    First = "first", "as an expression";
    pub(super) Second = "second", "another";
}

macro_rules! with_generics {
    ($ident:ident, $a:lifetime, $t:ident, $ty:ty, $bound:path) => {
        #[derive(Topic)]
        #[topic = "generic"]
        struct $ident<$a, $t>(&$a $t, $ty)
        where
            $t: $bound + 'static,
            $ty: 'static;
    };
}
with_generics!(Pieces, 'p, T, Vec<T>, Clone);

#[test]
fn derive_takes_names_and_types_from_macros() {
    assert_eq!((First::NAME, Second::NAME), ("first", "second"));
    assert_eq!(decode::<First<'_>>(r#""x""#).0, decode::<Second<'_>>(r#""x""#).0);
    assert_eq!(Pieces::<u8>::NAME, "generic");
    let pieces = Pieces(&1, vec![1]);
    assert_eq!(*pieces.0, pieces.1[0]);
}

#[test]
fn derive_in_a_function_compiles() {
    #[derive(Topic)]
    #[topic = "local"]
    struct Local;
    assert_eq!(Local::NAME, "local");
}
