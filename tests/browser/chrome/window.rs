//! A browser as its user sees it: what is in sight, what can be pressed, what can be typed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::driver::Driver;

/// How long something may take to come in sight.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// The key under which WebDriver hides an element's id (W3C WebDriver, section 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One browser.
pub struct Window {
    driver: Arc<Driver>,
    id: String,
    /// The id of Firefox's process, which Firefox reports.
    process: Option<u64>,
}

impl Window {
    pub(super) fn new(driver: Arc<Driver>, id: String, process: Option<u64>) -> Self {
        Self { driver, id, process }
    }

    /// The id of the browser's process.
    pub fn process(&self) -> u64 {
        self.process.expect("Chromium does not tell its process")
    }

    pub(super) async fn try_command(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        self.driver.command(method, &format!("session/{}/{path}", self.id), body).await
    }

    pub(super) async fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.try_command(method, path, body).await;
        answer.unwrap_or_else(|error| panic!("{method} {path} {body}: {error}"))
    }

    /// Types an address and presses Enter.
    pub async fn open(&self, url: &str) {
        self.command("POST", "url", &json!({ "url": url })).await;
    }

    pub async fn reload(&self) {
        self.command("POST", "refresh", &json!({})).await;
    }

    pub async fn url(&self) -> String {
        self.command("GET", "url", &Value::Null).await.as_str().unwrap().to_owned()
    }

    /// Runs the body of a function in the page.
    pub async fn script(&self, body: &str) -> Value {
        self.command("POST", "execute/sync", &json!({ "script": body, "args": [] })).await
    }

    /// Runs the body of an asynchronous function in the page.
    pub async fn wait_for_script(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {body} }})().then(done, (e) => done(`${{e}}`));"
        );
        self.command("POST", "execute/async", &json!({ "script": script, "args": [] })).await
    }

    /// The words in sight; none while one page gives way to the next.
    pub async fn text(&self) -> String {
        let body = json!({ "script": "return document.body?.innerText ?? ''", "args": [] });
        let text = self.try_command("POST", "execute/sync", &body).await;
        text.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Asks until `check` has an answer.
    pub async fn until<T>(&self, what: &str, check: impl AsyncFn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = check().await {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: not after {PATIENCE:?}\nat {}\n--- the page ---\n{}\n--- its console ---\n{:#?}",
                self.url().await,
                self.text().await,
                self.console().await,
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until these words are in sight.
    pub async fn sees(&self, words: &str) {
        self.until(&format!("{words:?} in sight"), async || self.text().await.contains(words).then_some(()))
            .await;
    }

    /// Waits until this script answers so: a page's own handlers run after the click that wakes them.
    pub async fn answers(&self, script: &str, expected: Value) {
        let same = async || (self.script(script).await == expected).then_some(());
        self.until(&format!("{script:?} answers {expected}"), same).await;
    }

    /// Waits until these words are not in sight any more.
    pub async fn does_not_see(&self, words: &str) {
        let gone = async || (!self.text().await.contains(words)).then_some(());
        self.until(&format!("{words:?} out of sight"), gone).await;
    }

    /// Waits until the address is exactly this.
    pub async fn arrives_at(&self, url: &str) {
        let at = async || (self.url().await == url).then_some(());
        self.until(&format!("at {url}"), at).await;
    }

    /// Waits until the path is this, whatever the query.
    pub async fn arrives_at_path(&self, path: &str) {
        let here = async || {
            let url = url::Url::parse(&self.url().await).unwrap();
            (url.path() == path).then_some(())
        };
        self.until(&format!("at a path {path}"), here).await;
    }

    /// Waits until the path is no longer this.
    pub async fn leaves_path(&self, path: &str) {
        let away = async || {
            let url = url::Url::parse(&self.url().await).unwrap();
            (url.path() != path).then_some(())
        };
        self.until(&format!("away from {path}"), away).await;
    }

    /// Presses the first button or link in sight with these words on it.
    pub async fn press(&self, words: &str) {
        let xpath = format!(
            "//*[self::button or self::a or self::summary][contains(normalize-space(.), \"{words}\")]"
        );
        self.act(&format!("a button {words:?}"), &xpath, "click", &json!({})).await;
    }

    /// Presses a button in the list entry that shows `entry`.
    pub async fn press_at(&self, entry: &str, words: &str) {
        let xpath = format!(
            "//li[contains(normalize-space(.), \"{entry}\")]//button[contains(normalize-space(.), \"{words}\")]"
        );
        self.act(&format!("a button {words:?} at {entry:?}"), &xpath, "click", &json!({})).await;
    }

    /// Replaces the text of the field with this label. `\u{e007}` is the Enter key.
    pub async fn fill(&self, label: &str, text: &str) {
        let label = format!("label[contains(normalize-space(.), \"{label}\")]");
        let field = "*[self::input or self::textarea]";
        let xpath = format!("//{field}[@id=//{label}/@for] | //{label}//{field}");
        self.act(&format!("the field {label}"), &xpath, "clear", &json!({})).await;
        self.act(&format!("the field {label}"), &xpath, "value", &json!({ "text": text })).await;
    }

    /// Does `action` to the first element of `xpath` on which it succeeds.
    async fn act(&self, what: &str, xpath: &str, action: &str, body: &Value) {
        let done = async || {
            let query = json!({ "using": "xpath", "value": xpath });
            let found = self.try_command("POST", "elements", &query).await.ok()?;
            for element in found.as_array()? {
                let id = element[ELEMENT].as_str()?;
                // A hidden element cannot be acted upon, so only visible ones are looked for.
                let path = format!("element/{id}/{action}");
                let shown = self.try_command("GET", &format!("element/{id}/displayed"), &Value::Null).await;
                if shown == Ok(json!(true)) && self.try_command("POST", &path, body).await.is_ok() {
                    return Some(());
                }
            }
            None
        };
        self.until(what, done).await;
    }

    /// Presses keys, wherever the focus is.
    pub async fn keys(&self, keys: &str) {
        let press = |key: char| {
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        };
        let actions: Vec<Value> = keys.chars().flat_map(press).collect();
        let body = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] });
        self.command("POST", "actions", &body).await;
    }

    /// The names of the cookies that a page at this address is sent with.
    pub async fn cookies(&self) -> Vec<String> {
        let cookies = self.command("GET", "cookie", &Value::Null).await;
        cookies.as_array().unwrap().iter().map(|cookie| cookie["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The messages of the console since the last call.
    pub async fn console(&self) -> Vec<String> {
        // Firefox does not show its console.
        let log = self.try_command("POST", "se/log", &json!({ "type": "browser" })).await;
        let log = log.unwrap_or_else(|_| json!([]));
        let entries = log.as_array().unwrap().iter();
        entries.map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect()
    }

    /// Checks that no page has broken its content policy and no script has failed.
    #[track_caller]
    pub fn stays_clean(&self) -> impl Future<Output = ()> + use<'_> {
        let caller = std::panic::Location::caller();
        async move {
            let said = self.console().await;
            let is_complaint =
                |line: &&String| line.contains("Content Security Policy") || line.contains("Uncaught");
            let complaints: Vec<&String> = said.iter().filter(is_complaint).collect();
            assert!(complaints.is_empty(), "{caller}: {complaints:#?}");
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.driver.end(&self.id);
    }
}
