//! The sample application: a page that shows who it thinks you are and every header it received, the
//! same as JSON, and a WebSocket that echoes.
//!
//! It knows nothing of the gateway but the names of the headers, as any application would.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{Message, WebSocket};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use tokio::net::TcpListener;

/// The longest message that is echoed.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The policy allows scripts and styles from files of this application only.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Starts the application on a port of its own, in threads of its own, for the life of the process.
pub(super) fn start() -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = async move {
        let listener = TcpListener::from_std(listener)?;
        axum::serve(listener, router()).await
    };
    std::thread::Builder::new().name("demo-application".to_owned()).spawn(move || {
        if let Err(error) = runtime.block_on(serve) {
            tracing::error!(%error, "the sample application ended");
        }
    })?;
    Ok(address)
}

fn router() -> Router {
    Router::new()
        .route("/", get(page))
        .route("/headers", get(headers))
        .route("/echo", get(echo))
        .route("/demo.css", get(file("text/css; charset=utf-8", STYLE)))
        .route("/demo.js", get(file("text/javascript; charset=utf-8", SCRIPT)))
        .fallback(get(page))
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse + Clone + Send + Sync {
    ([(header::CONTENT_TYPE, kind)], text)
}

async fn headers(headers: HeaderMap) -> impl IntoResponse {
    let pairs = headers.iter().map(|(name, value)| (name.to_string(), text_of(value)));
    Json(pairs.collect::<Vec<_>>())
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(MESSAGE_BYTES_MAX).on_upgrade(echo_all)
}

async fn echo_all(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let sent = match message {
            text @ (Message::Text(_) | Message::Binary(_)) => socket.send(text).await,
            // Pings are answered by the library.
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Close(_) => return,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn page(uri: Uri, headers: HeaderMap) -> impl IntoResponse {
    let policy = [(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY), (header::CACHE_CONTROL, "no-store")];
    (policy, Html(html(uri.path(), &headers)))
}

fn html(path: &str, headers: &HeaderMap) -> String {
    let told = |name: &str| headers.get(name).map(|value| decoded(&text_of(value)));
    let user = told("remote-user");
    let name = told("remote-name").or_else(|| user.clone()).unwrap_or_else(|| "stranger".to_owned());
    let (identity, others): (Vec<_>, Vec<_>) = headers
        .iter()
        .map(|(name, value)| (name.as_str(), text_of(value)))
        .partition(|(name, _)| is_identity(name));
    let summary = match (&user, told("remote-email")) {
        (Some(user), Some(email)) => format!("You are <b>{}</b>, {}.", escaped(user), escaped(&email)),
        (Some(user), None) => format!("You are <b>{}</b>.", escaped(user)),
        _ => "No identity header came with your request.".to_owned(),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Sample application</title>\n<link rel=\"stylesheet\" href=\"/demo.css\">\n\
         <script type=\"module\" src=\"/demo.js\"></script>\n</head>\n<body>\n<main>\n\
         <p class=\"kicker\">Sample application · <code>{path}</code></p>\n\
         <h1>Hello, {name}</h1>\n<p>{summary} This application has no login of its own: it believes \
         the headers that the gateway writes.</p>\n\
         <p class=\"links\"><a href=\"/auth/account\">Your passkeys and sessions</a> \
         <a href=\"/auth/logout\">Sign out</a> <a href=\"/headers\">Headers as JSON</a></p>\n\
         <h2>Who the gateway says you are</h2>\n{identity}\n\
         <h2>WebSocket echo</h2>\n<form id=\"echo\"><label for=\"message\">Message</label>\n\
         <input id=\"message\" autocomplete=\"off\" value=\"Hello\"> <button>Send</button></form>\n\
         <ol id=\"log\" aria-live=\"polite\"></ol>\n\
         <h2>Every other header</h2>\n{others}\n</main>\n</body>\n</html>\n",
        path = escaped(path),
        name = escaped(&name),
        identity = table(&identity),
        others = table(&others),
    )
}

fn is_identity(name: &str) -> bool {
    name.starts_with("remote-") || name.starts_with("x-vestibule-")
}

fn table(rows: &[(&str, String)]) -> String {
    if rows.is_empty() {
        return "<p>None.</p>".to_owned();
    }
    let mut html =
        String::from("<table>\n<tr><th scope=\"col\">Header</th><th scope=\"col\">Value</th></tr>\n");
    for (name, value) in rows {
        let _ =
            writeln!(html, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escaped(name), escaped(value));
    }
    html + "</table>"
}

fn text_of(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Undoes the gateway's percent-encoding of characters that are not printable ASCII.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let hidden = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        rest = if hidden.is_some() { after.get(2..).unwrap_or_default() } else { after };
        bytes.push(hidden.unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6475; --line: #d9dee7; --card: #fff; --back: #f3f5f9; --link: #1d4fd7 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf2; --soft: #a3adbf; --line: #333c4d; --card: #1a2130; --back: #10151f; --link: #8fb2ff }
}
* { box-sizing: border-box }
body { margin: 0; padding: 2rem 1rem; background: var(--back); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 46rem; margin: auto; padding: 2rem; background: var(--card); border: 1px solid var(--line); border-radius: 1rem }
h1 { margin: 0 0 .5rem; font-size: 2rem; line-height: 1.2; overflow-wrap: anywhere }
h2 { margin: 2rem 0 .5rem; font-size: 1.1rem }
.kicker { margin: 0 0 1rem; color: var(--soft) }
a { color: var(--link) }
.links a { display: inline-block; margin-right: 1.25rem; padding: .4rem 0 }
table { width: 100%; border-collapse: collapse; font-size: .9rem }
th, td { padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
th[scope=row] { font-weight: 600; white-space: nowrap }
td { font-family: ui-monospace, monospace; overflow-wrap: anywhere }
input, button { min-height: 44px; padding: .5rem .75rem; border: 1px solid var(--soft); border-radius: .5rem; font: inherit; color: inherit; background: transparent }
button { cursor: pointer; font-weight: 600 }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px }
#log { padding-left: 1.5rem; color: var(--soft); font-family: ui-monospace, monospace; overflow-wrap: anywhere }
";

const SCRIPT: &str = "\
const log = document.getElementById('log');
const message = document.getElementById('message');
const say = (text) => {
  const line = document.createElement('li');
  line.textContent = text;
  log.append(line);
};
const address = new URL('/echo', location.href);
address.protocol = address.protocol.replace('http', 'ws');
let socket;
const connected = () => new Promise((resolve, reject) => {
  if (socket?.readyState === WebSocket.OPEN) return resolve(socket);
  socket = new WebSocket(address);
  socket.addEventListener('open', () => resolve(socket));
  socket.addEventListener('error', () => reject(new Error('the connection was refused')));
  socket.addEventListener('message', (event) => say(`echo: ${event.data}`));
  socket.addEventListener('close', () => say('closed: the stream ends with your session'));
});
document.getElementById('echo').addEventListener('submit', async (event) => {
  event.preventDefault();
  try {
    (await connected()).send(message.value);
  } catch (error) {
    say(String(error.message));
  }
});
";

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message as Frame;
    use tower::ServiceExt as _;

    use super::*;

    async fn get_text(path: &str, headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn demo_page_shows_the_user_and_escapes_values() {
        let sent = [("remote-user", "zoe"), ("remote-name", "Zo%C3%AB <b>"), ("x-other", "<script>&\"'")];
        let page = get_text("/", &sent).await;
        assert!(page.contains("<h1>Hello, Zoë &lt;b&gt;</h1>"), "{page}");
        assert!(page.contains("<td>&lt;script&gt;&amp;&quot;&#39;</td>"), "{page}");
        assert!(get_text("/deep/link", &[]).await.contains("Hello, stranger"));
    }

    #[tokio::test]
    async fn every_header_is_in_the_json() {
        let text = get_text("/headers", &[("remote-user", "zoe"), ("x-twice", "1"), ("x-twice", "2")]).await;
        let pairs: Vec<(String, String)> = serde_json::from_str(&text).unwrap();
        assert!(pairs.contains(&("remote-user".to_owned(), "zoe".to_owned())));
        assert_eq!(pairs.iter().filter(|(name, _)| name == "x-twice").count(), 2);
    }

    #[tokio::test]
    async fn the_socket_echoes() {
        let address = start().unwrap();
        let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/echo")).await.unwrap();
        socket.send(Frame::text("hello")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Frame::text("hello"));
    }

    #[test]
    fn decodes_encoded_header_values_only() {
        for (text, expected) in
            [("Zo%C3%AB", "Zoë"), ("100%25", "100%"), ("5%", "5%"), ("%zz", "%zz"), ("", "")]
        {
            assert_eq!(decoded(text), expected);
        }
    }
}
