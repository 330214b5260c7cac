//! The requests, and the contestants that get them.

use crate::contestants::Who::{
    self, Apache, Bare, Beside, CaddyAsking, CaddyPlain, Cookie, Datalog, Haproxy, NginxAsking,
    NginxAskingGateway, NginxPlain, NginxRefusing, TenRules, Token,
};

/// One kind of request, asked of several contestants in turn.
pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    pub ask: Ask,
    /// The contestants; the others are compared with the first.
    pub who: &'static [Who],
}

/// The kind of request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A small answer, over connections that stay open.
    Get { connections: u32 },
    /// The same beside so many connections on which nothing happens.
    GetBeside { idle: u32, connections: u32 },
    /// The same, each over a connection of its own.
    GetOnce { connections: u32 },
    /// Over TLS 1.3, on connections that stay open.
    SecureGet { connections: u32 },
    /// A handshake for each.
    SecureGetOnce { connections: u32 },
    /// Over HTTP/2 with TLS, so many at once on each of ten connections.
    Streams { streams: u32 },
    /// 10 KiB that the application reads.
    Post { connections: u32 },
    /// 100 MiB.
    Download { connections: u32 },
    /// Messages that come back over WebSockets.
    Echo { connections: u32 },
    /// By an anonymous client, which is told to sign in, or led there.
    Anonymous { is_led: bool, connections: u32 },
}

impl Scenario {
    /// The unit that its rate counts.
    pub fn unit(&self) -> &'static str {
        match self.ask {
            Ask::Download { .. } => "MiB/s",
            Ask::Echo { .. } => "messages/s",
            _ => "requests/s",
        }
    }
}

const EVERYBODY: &[Who] =
    &[NginxAsking, Bare, Cookie, Beside, Token, NginxPlain, Haproxy, CaddyPlain, CaddyAsking, Apache];
const DATA_PLANE: &[Who] = &[NginxAsking, Bare, Cookie, Beside, NginxPlain, Haproxy];
const SECURE: &[Who] = &[NginxPlain, Haproxy, CaddyPlain, Bare, Cookie, Beside];

/// All of them, in the order in which they are measured.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "get",
        about: "100 bytes, 64 connections that stay open",
        ask: Ask::Get { connections: 64 },
        who: EVERYBODY,
    },
    Scenario {
        name: "get-1",
        about: "100 bytes, one connection",
        ask: Ask::Get { connections: 1 },
        who: DATA_PLANE,
    },
    Scenario {
        name: "get-1000",
        about: "100 bytes, 1,000 connections that stay open",
        ask: Ask::Get { connections: 1_000 },
        who: DATA_PLANE,
    },
    Scenario {
        name: "get-10000",
        about: "100 bytes, 64 connections beside 9,900 that are open and idle",
        ask: Ask::GetBeside { idle: 9_900, connections: 64 },
        who: DATA_PLANE,
    },
    Scenario {
        name: "shown",
        about: "what shows who it is: a session's cookie, or an access token",
        ask: Ask::Get { connections: 64 },
        who: &[Cookie, Token],
    },
    Scenario {
        name: "rules",
        about: "who may enter: allow = [\"user\"], ten rules of which the last one lets in, a policy in Datalog",
        ask: Ask::Get { connections: 64 },
        who: &[Cookie, TenRules, Datalog],
    },
    Scenario {
        name: "forward-auth",
        about: "nginx asks on each request: a responder that says 204, and the gateway",
        ask: Ask::Get { connections: 64 },
        who: &[NginxAsking, NginxAskingGateway],
    },
    Scenario {
        name: "new-connections",
        about: "100 bytes, a connection for each request",
        ask: Ask::GetOnce { connections: 64 },
        who: DATA_PLANE,
    },
    Scenario {
        name: "tls",
        about: "100 bytes over TLS 1.3, 64 connections that stay open",
        ask: Ask::SecureGet { connections: 64 },
        who: SECURE,
    },
    Scenario {
        name: "tls-handshakes",
        about: "100 bytes over TLS 1.3, a handshake for each request",
        ask: Ask::SecureGetOnce { connections: 64 },
        who: SECURE,
    },
    Scenario {
        name: "http2",
        about: "100 bytes over HTTP/2, ten connections with 100 streams at once",
        ask: Ask::Streams { streams: 100 },
        who: SECURE,
    },
    Scenario {
        name: "post",
        about: "10 KiB sent, 64 connections that stay open",
        ask: Ask::Post { connections: 64 },
        who: DATA_PLANE,
    },
    Scenario {
        name: "download",
        about: "100 MiB, four at once",
        ask: Ask::Download { connections: 4 },
        who: DATA_PLANE,
    },
    Scenario {
        name: "websocket",
        about: "64 bytes there and back over 64 WebSockets",
        ask: Ask::Echo { connections: 64 },
        who: &[NginxPlain, Haproxy, Bare, Cookie, Beside],
    },
    Scenario {
        name: "anonymous-401",
        about: "a program that is not signed in: 401",
        ask: Ask::Anonymous { is_led: false, connections: 64 },
        who: &[NginxRefusing, Cookie, Beside],
    },
    Scenario {
        name: "anonymous-303",
        about: "a page load without a sign-in: led to the sign-in page",
        ask: Ask::Anonymous { is_led: true, connections: 64 },
        who: &[NginxRefusing, Cookie, Beside],
    },
];
