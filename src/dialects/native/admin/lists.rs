//! Lists that are arrays, a page at a time.
//!
//! What always holds: the body is an array of items and nothing else; where the list goes on stands
//! in a `Link` header (RFC 8288).

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::LINK;
use serde::{Deserialize, Serialize};

use crate::dialects::native::cursor;
use crate::flows::administration::paging::{PAGE_ITEMS, PAGE_ITEMS_MAX, Page, Part};
use crate::web::Problem;

/// Which part of a list.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// From 1 to 200 [default: 50].
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `after` of the `Link` header of the page before.
    after: Option<String>,
}

impl Which {
    pub(super) fn part(&self) -> Result<Part, Problem> {
        part(self.limit, self.after.as_deref())
    }
}

/// Reads the part of a list that a query asks for.
pub(super) fn part(limit: Option<usize>, after: Option<&str>) -> Result<Part, Problem> {
    let limit = limit.unwrap_or(PAGE_ITEMS);
    if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
        return Err(Problem::malformed(format!("`limit` is from 1 to {PAGE_ITEMS_MAX}.")));
    }
    Ok(Part { after: cursor(after)?, limit })
}

/// A page of a list, and the query of the next one.
pub(super) struct Listed<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T> Listed<T> {
    /// A page of a list that these `filters` of the query narrow.
    pub(super) fn new<I>(
        page: Page<I>,
        part: &Part,
        filters: &[(&str, &str)],
        shape: impl Fn(I) -> T,
    ) -> Self {
        let next = page.next.map(|next| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(filters).append_pair("limit", &part.limit.to_string());
            query.append_pair("after", &next.to_string()).finish()
        });
        Self { items: page.items.into_iter().map(shape).collect(), next }
    }
}

impl<T: Serialize> IntoResponse for Listed<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.items).into_response();
        let link = self.next.and_then(|next| HeaderValue::try_from(format!("<?{next}>; rel=\"next\"")).ok());
        response.headers_mut().extend(link.map(|link| (LINK, link)));
        response
    }
}
