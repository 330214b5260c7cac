//! A real HTTP server that takes webhooks, fails, stalls and recovers as it is told.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::net::TcpListener;

/// No message takes longer: a message that failed once waits for five seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(10);

/// Computes a signature of Standard Webhooks with nothing of ours: key, id, timestamp, body.
const SIGN: &str = "import base64, hashlib, hmac, sys\n\
                    key, id, at = base64.b64decode(sys.argv[1]), sys.argv[2], sys.argv[3]\n\
                    said = (id + '.' + at + '.').encode() + sys.stdin.buffer.read()\n\
                    print('v1,' + base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode())";

/// The way in which it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    Answers(u16, String),
    /// Leads elsewhere.
    Redirects(String),
    /// Does not answer until told otherwise.
    Stalls,
}

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Told {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether it was answered 2xx.
    pub was_taken: bool,
}

struct Shared {
    manner: Mutex<Manner>,
    told: Mutex<Vec<Told>>,
}

/// The server.
pub struct Receiver {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Told {
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert_eq!(values.len(), 1, "{name}: {:?}", self.headers);
        values[0].to_str().unwrap()
    }

    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The signature that a receiver with this key expects.
    pub fn expected_signature(&self, key: &[u8]) -> String {
        let mut python = Command::new("/usr/bin/python3")
            .args(["-c", SIGN, &STANDARD.encode(key), self.id(), self.header("webhook-timestamp")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        python.stdin.take().unwrap().write_all(&self.body).unwrap();
        let output = python.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Receiver {
    /// Listens, and takes every message, when this returns.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let manner = Mutex::new(Manner::Answers(200, "thank you".to_owned()));
        let shared = Arc::new(Shared { manner, told: Mutex::default() });
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, shared }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/in?key=path-is-secret", self.port)
    }

    pub fn answers(&self, status: u16) {
        self.behaves(Manner::Answers(status, String::new()));
    }

    pub fn behaves(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// Every request so far.
    pub fn told(&self) -> Vec<Told> {
        self.shared.told.lock().unwrap().clone()
    }

    /// Waits for the first request that `is_meant`.
    pub async fn wait_for(&self, is_meant: impl Fn(&Told) -> bool) -> Told {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(found) = self.told().into_iter().find(&is_meant) {
                return found;
            }
            tokio::time::sleep(STEP).await;
        }
        panic!("it has not come; there are {:?}", self.told());
    }

    /// Waits for a message that was taken and has this type in the `json` template.
    pub async fn taken(&self, called: &str) -> Told {
        self.wait_for(|told| told.was_taken && told.json()["type"] == called).await
    }
}

async fn take(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let manner = shared.manner.lock().unwrap().clone();
    let was_taken = matches!(manner, Manner::Answers(200..=299, _));
    let told = Told { path: uri.to_string(), headers, body, was_taken };
    shared.told.lock().unwrap().push(told);
    match manner {
        Manner::Answers(status, said) => (StatusCode::from_u16(status).unwrap(), said).into_response(),
        Manner::Redirects(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Manner::Stalls => {
            while *shared.manner.lock().unwrap() == Manner::Stalls {
                tokio::time::sleep(STEP).await;
            }
            StatusCode::NO_CONTENT.into_response()
        }
    }
}
