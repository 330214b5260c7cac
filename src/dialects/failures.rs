//! The failures that an endpoint may answer with, as the description tells them.
//!
//! What does not live here: their words, which are in each dialect's shapes, and their form, which
//! is a dialect's `face`.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::schema::{Ref, Schema};
use utoipa::openapi::{ContentBuilder, RefOr, Response, ResponseBuilder};

/// Declares failures by their statuses: for each shape, in which content type it is sent, and when.
macro_rules! failures {
    ($($(#[$about:meta])* $name:ident {
        $($shape:ty as $kind:literal: $($status:literal $when:literal,)+)+
    })+) => {$(
        $(#[$about])*
        pub(super) struct $name;

        impl ::utoipa::IntoResponses for $name {
            fn responses() -> $crate::dialects::failures::Described {
                let mut all = $crate::dialects::failures::Described::new();
                $($crate::dialects::failures::describe::<$shape>(&mut all, $kind, &[$(($status, $when)),+]);)+
                all
            }
        }
    )+};
}
pub(super) use failures;

/// Answers by their status.
pub(super) type Described = BTreeMap<String, RefOr<Response>>;

/// Adds failures that are answered in one shape.
pub(super) fn describe<T: ToSchema>(all: &mut Described, kind: &str, failures: &[(u16, &str)]) {
    let schema = match T::schema() {
        // A text has no name among the shapes.
        RefOr::T(Schema::Object(text)) if text.properties.is_empty() => RefOr::T(text.into()),
        RefOr::T(_) | RefOr::Ref(_) => RefOr::Ref(Ref::from_schema_name(T::name())),
    };
    for (status, when) in failures {
        let content = ContentBuilder::new().schema(Some(schema.clone())).build();
        let answer = ResponseBuilder::new().description(*when).content(kind, content);
        all.insert(status.to_string(), answer.into());
    }
}
