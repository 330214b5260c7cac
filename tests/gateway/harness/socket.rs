//! An open WebSocket to an application that echoes.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Browser, Gateway};

/// How soon a stream that may not go on has to end.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// Opens a WebSocket at `/socket` of the auth host, with the session of `browser` if it has one.
pub async fn open(gateway: &Gateway, browser: &Browser) -> Socket {
    let port = gateway.port;
    let mut request = format!("ws://127.0.0.1:{port}/socket").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("host", format!("localhost:{port}").parse().unwrap());
    if let Some(session) = browser.session() {
        headers.insert("cookie", format!("vestibule={session}").parse().unwrap());
    }
    Socket(tokio_tungstenite::connect_async(request).await.unwrap().0)
}

impl Socket {
    /// Sends this and waits for it to come back.
    pub async fn says(&mut self, words: &str) {
        self.0.send(Message::text(words)).await.unwrap();
        assert_eq!(self.0.next().await.unwrap().unwrap(), Message::text(words));
    }

    /// Waits until the gateway has cut it.
    pub async fn ends(mut self) {
        let over = tokio::time::timeout(ENDS_WITHIN, self.0.next()).await;
        let over = over.expect("the stream ends within five seconds");
        assert!(matches!(over, None | Some(Err(_))), "{over:?}");
    }
}
