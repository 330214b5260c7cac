//! A browser without a screen: cookies, Fetch Metadata and `Origin` as browsers send them.
//!
//! It follows no redirect unless told to, so a test sees each answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, Method, RequestBuilder};
use serde_json::Value;
use url::Url;

use super::gateway::Gateway;
use super::jar::{Jar, SetCookie};

/// No answer of a gateway under test takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
const HOPS_MAX: usize = 10;
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0";
const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// Every name is this machine.
struct Here;

impl Resolve for Here {
    fn resolve(&self, _: Name) -> Resolving {
        let here: Addrs = Box::new(std::iter::once(SocketAddr::from(([127, 0, 0, 1], 0))));
        Box::pin(std::future::ready(Ok(here)))
    }
}

/// One person's browser.
#[derive(Clone)]
pub struct Browser {
    client: Client,
    jar: Arc<Mutex<Jar>>,
    origin: String,
    /// The token that its scripts show in `Authorization`, if any.
    token: Option<String>,
    /// The client that the proxy in front says it is, if there is one.
    reported: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub url: Url,
    pub version: reqwest::Version,
}

impl Browser {
    /// A new browser that speaks HTTP/1.1, or the protocol that TLS settles on.
    pub fn new(gateway: &Gateway) -> Self {
        Self::at(gateway, None)
    }

    /// A new browser on a machine with this address.
    pub fn on(gateway: &Gateway, address: &str) -> Self {
        Self::at(gateway, Some(address.parse().unwrap()))
    }

    fn at(gateway: &Gateway, address: Option<IpAddr>) -> Self {
        let authority = Certificate::from_pem(gateway.authority.certificate().as_bytes()).unwrap();
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Here))
            .add_root_certificate(authority)
            .user_agent(AGENT)
            .timeout(PATIENCE)
            .local_address(address)
            // Tests restart the gateway; an old connection would fail the first request.
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self { client, jar: Arc::default(), origin: gateway.origin(), token: None, reported: None }
    }

    /// Another user's browser, without the cost of a new client.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { jar: Arc::default(), token: None, ..self.clone() }
    }

    /// Another browser, whose scripts show this token in every request.
    #[must_use]
    pub fn showing(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.another() }
    }

    /// The same browser, with its cookies, as a proxy reports it that is in front from now on.
    #[must_use]
    pub fn reported_as(&self, client: &str) -> Self {
        Self { reported: Some(client.to_owned()), ..self.clone() }
    }

    pub fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap()
    }

    /// The gateway's public origin.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The name of our session cookie here.
    pub fn session_cookie_name(&self) -> &'static str {
        if self.origin.starts_with("https") { "__Host-vestibule" } else { "vestibule" }
    }

    /// The session cookie on the auth host.
    pub fn session(&self) -> Option<String> {
        let url = Url::parse(&self.origin).unwrap();
        self.jar().get(url.host_str().unwrap(), self.session_cookie_name())
    }

    /// Every cookie that was set with this name, in order.
    pub fn set_cookies(&self, name: &str) -> Vec<SetCookie> {
        self.jar().history.iter().filter(|cookie| cookie.name == name).cloned().collect()
    }

    /// A request with this browser's cookies and nothing else that browsers add.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let url = Url::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
        let request = self.client.request(method, url.clone());
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let request = match &self.reported {
            Some(client) => request.header("x-forwarded-for", client),
            None => request,
        };
        match self.jar().header(url.host_str().unwrap(), url.path()) {
            Some(cookies) => request.header("cookie", cookies),
            None => request,
        }
    }

    /// Sends it, takes the cookies of the answer and reads it whole.
    pub async fn send(&self, request: RequestBuilder) -> Reply {
        self.try_send(request).await.unwrap_or_else(|e| panic!("no answer: {e:?}"))
    }

    /// As `send`, for a gateway that may not be there.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Reply> {
        let reply = request.send().await?;
        let (status, url, version) = (reply.status().as_u16(), reply.url().clone(), reply.version());
        let headers = reply.headers().clone();
        let https = url.scheme() == "https";
        for cookie in headers.get_all("set-cookie") {
            self.jar().store(url.host_str().unwrap(), https, cookie.to_str().unwrap());
        }
        let body = reply.bytes().await?.to_vec();
        Ok(Reply { status, headers, body, url, version })
    }

    /// Sends a request like a click or the address bar.
    pub async fn navigate(&self, url: &str) -> Reply {
        self.send(self.navigation(url)).await
    }

    pub fn navigation(&self, url: &str) -> RequestBuilder {
        self.request(Method::GET, url)
            .header("accept", ACCEPT)
            .header("sec-fetch-site", "none")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-user", "?1")
    }

    /// Navigates and follows redirects; the last answer, and every address on the way.
    pub async fn arrive(&self, url: &str) -> (Reply, Vec<Reply>) {
        let mut reply = self.navigate(url).await;
        let mut hops = Vec::new();
        while let Some(next) = reply.location() {
            assert!(hops.len() < HOPS_MAX, "going in circles: {hops:?}");
            hops.push(reply);
            reply = self.navigate(next.as_str()).await;
        }
        (reply, hops)
    }

    /// A request like that of a script of a page on the same origin.
    pub fn fetching(&self, method: Method, url: &str, body: Option<&Value>) -> RequestBuilder {
        let origin = Url::parse(url).unwrap().origin().ascii_serialization();
        let safe = method == Method::GET || method == Method::HEAD;
        let request = self
            .request(method, url)
            .header("accept", "*/*")
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty");
        let request = if safe { request } else { request.header("origin", origin) };
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    pub async fn fetch(&self, method: Method, url: &str, body: Option<&Value>) -> Reply {
        self.send(self.fetching(method, url, body)).await
    }

    /// An address of the auth host, from a page of ours.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        self.fetch(method, &format!("{}{path}", self.origin), body).await
    }

    /// The native API, below `/auth/`, from a page of ours.
    pub async fn get(&self, below: &str) -> Reply {
        self.fetch(Method::GET, &self.api(below), None).await
    }

    pub async fn post(&self, below: &str, body: &Value) -> Reply {
        self.fetch(Method::POST, &self.api(below), Some(body)).await
    }

    pub async fn delete(&self, below: &str) -> Reply {
        self.fetch(Method::DELETE, &self.api(below), None).await
    }

    pub async fn patch(&self, below: &str, body: &Value) -> Reply {
        self.fetch(Method::PATCH, &self.api(below), Some(body)).await
    }

    pub fn api(&self, below: &str) -> String {
        format!("{}/auth/{below}", self.origin)
    }
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self}"))
    }

    /// Replaces the body of a good answer by the bytes that are wrapped in it.
    #[must_use]
    pub fn opened(mut self, wrapped: impl FnOnce(&Value) -> Vec<u8>) -> Self {
        if self.status == 200 {
            self.body = wrapped(&self.json());
        }
        self
    }

    /// A header that is there once; "" when it is not.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map_or("", |value| value.to_str().unwrap());
        assert!(values.next().is_none(), "{name} twice: {self}");
        value
    }

    /// The parts by which a client can tell it from another answer: status, body and headers.
    /// Moments, and the ids of requests, are never the same.
    pub fn telling(&self) -> (u16, String, Vec<(String, String)>) {
        let noise = ["date", "x-request-id", "content-length"];
        let headers = self.headers.iter().filter(|(name, _)| !noise.contains(&name.as_str()));
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let mut headers: Vec<_> = headers.collect();
        headers.sort();
        let mut body: Value = serde_json::from_slice(&self.body).unwrap_or(Value::Null);
        if body["requestData"].is_object() {
            body["requestData"]["requestID"] = Value::Null;
            body["runtime"] = Value::Null;
            return (self.status, body.to_string(), headers);
        }
        (self.status, self.text(), headers)
    }

    /// Where a redirect leads, as a browser reads it.
    pub fn location(&self) -> Option<Url> {
        let to = self.headers.get("location").map(HeaderValue::to_str)?.unwrap();
        (300..400).contains(&self.status).then(|| self.url.join(to).unwrap())
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Refused with problem+json (RFC 9457), in all its members.
    #[track_caller]
    pub fn expect_problem(self, status: u16) -> Value {
        let reply = self.expect(status);
        assert!(reply.header("content-type").starts_with("application/problem+json"), "{reply}");
        assert_eq!(reply.header("cache-control"), "no-store", "{reply}");
        let problem = reply.json();
        for member in ["type", "title", "detail", "message", "code"] {
            assert!(problem[member].is_string(), "{member} is missing: {problem}");
        }
        assert_eq!(problem["status"], status, "{problem}");
        problem
    }

    #[track_caller]
    pub fn expect_one_of(self, statuses: &[u16]) -> Self {
        assert!(statuses.contains(&self.status), "{self}");
        self
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} answered {} {:?}\n{}", self.url, self.status, self.headers, self.text())
    }
}
