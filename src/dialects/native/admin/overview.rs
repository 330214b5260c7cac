//! The installation at a glance.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Administrator;
use super::shapes::Failures;
use crate::dialects::native::App;
use crate::domain::time::Timestamp;
use crate::flows::administration::upkeep::CertificateEnd;
use crate::web::Problem;

/// The installation at a glance.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::Overview)]
pub(super) struct Overview {
    version: &'static str,
    /// Whether changes can be stored.
    ready: bool,
    users: usize,
    administrators: usize,
    sessions: usize,
    /// Invitations that can still be used.
    invitations: usize,
    routes: usize,
    /// When the last backup was made.
    last_backup_at: Option<String>,
    /// The certificates; those that end first come first.
    certificates: Vec<CertificateShape>,
}

/// A certificate that is served.
#[derive(Serialize, ToSchema)]
#[schema(as = admin::Certificate)]
pub(super) struct CertificateShape {
    /// The host of a certificate that the gateway obtains; the file of any other certificate.
    certificate: String,
    /// Left out while there is no certificate yet.
    good_until: Option<String>,
}

impl From<CertificateEnd> for CertificateShape {
    fn from(end: CertificateEnd) -> Self {
        Self { certificate: end.certificate, good_until: end.good_until.map(Timestamp::to_rfc3339) }
    }
}

/// Counts and health.
#[utoipa::path(get, path = "/admin/v1/overview", tag = "admin",
    security(("bearer" = []), ("cookie" = [])), responses((status = 200, body = Overview), Failures))]
pub(super) async fn show(State(gateway): App, _: Administrator) -> Result<Json<Overview>, Problem> {
    Ok(Json(Overview {
        version: env!("CARGO_PKG_VERSION"),
        ready: gateway.ground.health().is_ok(),
        users: gateway.administration.user_count(),
        administrators: gateway.administration.administrator_count(),
        sessions: gateway.sessions.session_count(),
        invitations: gateway.administration.count_invitations(usize::MAX).await?,
        routes: gateway.ground.routes().all().count(),
        last_backup_at: gateway.administration.last_backup_at().map(Timestamp::to_rfc3339),
        certificates: gateway.upkeep.certificate_ends().into_iter().map(Into::into).collect(),
    }))
}
