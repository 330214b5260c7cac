//! "Preview as user", on the page of the routes: which of them a user may enter, and the tiles of
//! their account page.
//!
//! What does not live here: who may enter (`domain/policy/decide.rs`).
//!
//! What always holds: it reads; no session is made, and no user is signed in as another.

use serde::Deserialize;

use crate::domain::user::User;
use crate::flows::FlowError;
use crate::pages::account::Doorway;
use crate::pages::routes::Desk;
use crate::web::Problem;

/// The user whom the form names: an id, a username or an e-mail address. Without one, there is no
/// preview.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    user: String,
}

/// The preview, and its user.
pub(super) enum Preview {
    Nobody,
    /// There is no such user.
    Unknown(String),
    User(Box<Previewed>),
}

/// The applications as a user sees them.
pub(super) struct Previewed {
    pub(super) user: User,
    /// Whether they can sign in at all.
    pub(super) is_active: bool,
    pub(super) tiles: Vec<Doorway>,
}

impl Preview {
    pub(super) async fn of(desk: &Desk, asked: Asked) -> Result<Self, Problem> {
        let name = asked.user.trim();
        if name.is_empty() {
            return Ok(Self::Nobody);
        }
        let user = match desk.gateway.administration.find_user(name).await {
            Ok(user) => user,
            Err(FlowError::NotFound | FlowError::MalformedName(_)) => {
                return Ok(Self::Unknown(name.to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        let applications = desk.gateway.accounts.applications_of(&user);
        let is_active = user.is_active(desk.gateway.ground.clock().now());
        let tiles = applications.iter().map(|it| Doorway::of(it, &desk.site)).collect();
        Ok(Self::User(Box::new(Previewed { user, is_active, tiles })))
    }

    /// The text in the field of the form.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Nobody => "",
            Self::Unknown(name) => name,
            Self::User(previewed) => previewed.user.username.as_str(),
        }
    }

    pub(super) fn user(&self) -> Option<&User> {
        match self {
            Self::Nobody | Self::Unknown(_) => None,
            Self::User(previewed) => Some(&previewed.user),
        }
    }
}
