//! Restarts behind sockets that another process holds, as systemd does: no client is refused, and
//! requests under way are finished.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::upstream::response;
use crate::harness::{Browser, Gateway, Upstream, port, raw, socket};

const BINARY: &str = env!("CARGO_BIN_EXE_vestibule");
const CLIENTS: usize = 8;
const UPGRADES: usize = 3;
const RESTARTS: usize = 3;
/// A busy machine may take a while; the pause that users see is measured beside it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service whose sockets are held by its manager.
struct Held {
    holder: Child,
    orders: Option<ChildStdin>,
    said: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Held {
    fn start(gateway: &Gateway, ports: &[u16]) -> Self {
        let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/socket_holder.py");
        let mut holder = Command::new("/usr/bin/python3")
            .arg(script)
            .arg(ports.join(","))
            .arg(gateway.directory().join("log"))
            .args([BINARY, "serve", "--config"])
            .arg(gateway.config_file())
            .current_dir(gateway.directory())
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = holder.stdin.take();
        let mut said = BufReader::new(holder.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "started");
        Self { holder, orders, said }
    }

    fn restart(&mut self) {
        self.begin_restart();
        self.is_restarted();
    }

    fn begin_restart(&mut self) {
        self.orders.as_mut().unwrap().write_all(b"restart\n").unwrap();
    }

    fn is_restarted(&mut self) {
        assert_eq!(self.said.next().unwrap().unwrap(), "restarted");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The end of its input ends the service as well.
        drop(self.orders.take());
        let deadline = Instant::now() + PATIENCE;
        while self.holder.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Clients that ask without a pause, each time on a new connection. No client may be refused, and
/// each is answered.
struct Crowd {
    clients: Vec<JoinHandle<Duration>>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl Crowd {
    fn gather(port: u16) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..CLIENTS).map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut longest = Duration::ZERO;
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let answer = raw::get(port, "localhost", "/page", &[]);
                    assert_eq!(answer.status(), 200, "{}", answer.0);
                    longest = began.elapsed().max(longest);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                longest
            })
        });
        Self { clients: clients.collect(), stop, answered }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    async fn wait_for(&self, answers: usize, gateway: &Gateway) {
        let deadline = Instant::now() + PATIENCE;
        while self.answered() < answers {
            assert!(Instant::now() < deadline, "no answers any more:\n{}", gateway.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the clients; returns how long the longest answer took.
    fn disperse(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let longest =
            self.clients.into_iter().map(|client| client.join().expect("every request is answered"));
        longest.max().unwrap_or_default()
    }
}

fn prepare(app: &Upstream) -> Gateway {
    let port = app.port;
    Gateway::prepare(|config| {
        config.route("app", port).public(&["/*"]);
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_is_refused_during_a_restart() {
    let app = Upstream::start();
    let mut gateway = prepare(&app);
    let mut held = Held::start(&gateway, &[gateway.port, gateway.metrics_port]);
    gateway.wait_until_ready().await;

    let crowd = Crowd::gather(gateway.port);
    for _ in 0..RESTARTS {
        let before = crowd.answered();
        held.restart();
        crowd.wait_for(before + 10 * CLIENTS, &gateway).await;
    }
    println!("the longest answer took {:?}", crowd.disperse());
    assert_eq!(gateway.log().matches("\"stopping\"").count(), RESTARTS);
}

/// wrk, on as many connections as it likes, while the gateway is told of its configuration 30 times
/// and restarted three times.
#[tokio::test(flavor = "multi_thread")]
async fn wrk_sees_no_failure_through_reloads_and_restarts() {
    let app = Upstream::start();
    let mut gateway = prepare(&app);
    let mut held = Held::start(&gateway, &[gateway.port, gateway.metrics_port]);
    gateway.wait_until_ready().await;
    let wrk = Command::new("/usr/bin/wrk")
        .args(["-t1", "-c8", "-d8s", "-H", &format!("Host: localhost:{}", gateway.port)])
        .arg(format!("http://127.0.0.1:{}/page", gateway.port))
        .stdout(Stdio::piped())
        .spawn()
        .expect("wrk: run tests/run --setup-only");
    for round in 1..=30 {
        gateway.edit(|text| format!("{text}# {round}\n"));
        gateway.operate(&["reload"]);
        if round % 10 == 0 {
            held.restart();
            gateway.wait_until_ready().await;
        }
    }
    let output = wrk.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("requests in"), "{said}");
    // wrk reports errors only if there were some.
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    let log = gateway.log();
    assert_eq!(log.matches("\"stopping\"").count(), RESTARTS);
    assert_eq!(log.matches("the configuration has been taken in").count(), 30);
}

/// Until it hears them, a signal ends the process, with everything that is under way.
#[test]
fn ready_gateway_handles_signals() {
    let app = Upstream::start();
    let mut gateway = prepare(&app);
    let told = gateway.directory().join("notify");
    let manager = UnixDatagram::bind(&told).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = format!("NOTIFY_SOCKET={}", told.display());
    for _ in 0..10 {
        gateway.spawn(&["env", &told]);
        let mut said = [0; 64];
        let length = manager.recv(&mut said).unwrap();
        assert!(said[..length].starts_with(b"READY=1"), "{:?}", String::from_utf8_lossy(&said[..length]));
        // The signal is sent from here, because a program that sends it takes longer to start.
        let process = Pid::from_raw(gateway.pid().try_into().unwrap()).unwrap();
        kill_process(process, Signal::TERM).unwrap();
        assert_eq!(gateway.wait_for_end(), Some(0));
        let length = manager.recv(&mut said).unwrap();
        assert!(said[..length].starts_with(b"STOPPING=1"), "{:?}", String::from_utf8_lossy(&said[..length]));
    }
    assert_eq!(gateway.log().matches("\"stopping\"").count(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_finishes_requests_under_way() {
    let (arrived, asked) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let app = Upstream::answering(move |_| {
        arrived.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
        response("200 OK", &[], "hello")
    });
    let mut gateway = prepare(&app);
    let mut held = Held::start(&gateway, &[gateway.port, gateway.metrics_port]);
    gateway.wait_until_ready().await;
    let port = gateway.port;
    let asking = std::thread::spawn(move || raw::get(port, "localhost", "/slow", &[]));
    asked.recv_timeout(PATIENCE).expect("the application is asked");
    held.begin_restart();
    // It is asked to end while the application has not begun to answer.
    gateway.wait_for_log("\"stopping\"").await;
    release.send(()).unwrap();
    held.is_restarted();
    assert_eq!(asking.join().unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_stream_does_not_delay_shutdown() {
    let app = Upstream::start();
    let port = app.port;
    let mut gateway = Gateway::prepare(|config| {
        // Longer than the test waits.
        config.server.push("grace_period = \"1m\"".to_owned());
        config.route("app", port).public(&["/*"]);
    });
    let mut held = Held::start(&gateway, &[gateway.port, gateway.metrics_port]);
    gateway.wait_until_ready().await;
    let mut open = socket::open(&gateway, &Browser::new(&gateway)).await;
    open.says("hello").await;
    let began = Instant::now();
    held.restart();
    assert_eq!(raw::get(gateway.port, "localhost", "/page", &[]).status(), 200);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    open.ends().await;
    let mut again = socket::open(&gateway, &Browser::new(&gateway)).await;
    again.says("hello again").await;
}

/// Replaces a gateway's program as package managers do, by a new file of the same name.
fn install(program: &Path, bytes: &[u8]) {
    let fresh = program.with_extension("new");
    fs::write(&fresh, bytes).unwrap();
    fs::set_permissions(&fresh, Permissions::from_mode(0o755)).unwrap();
    fs::rename(fresh, program).unwrap();
}

/// A gateway whose program is a file of its own, and that file.
async fn with_own_program(app: &Upstream) -> (Gateway, PathBuf) {
    let mut gateway = prepare(app);
    let program = gateway.directory().join("program");
    install(&program, &fs::read(BINARY).unwrap());
    gateway.spawn_program(&[program.to_str().unwrap()]);
    gateway.wait_until_ready().await;
    (gateway, program)
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_refuses_no_connection() {
    let app = Upstream::start();
    let (gateway, program) = with_own_program(&app).await;
    let pid = gateway.pid();
    let crowd = Crowd::gather(gateway.port);
    for _ in 0..UPGRADES {
        install(&program, &fs::read(BINARY).unwrap());
        let before = crowd.answered();
        assert!(gateway.operate(&["upgrade"]).contains("has taken over"), "{}", gateway.log());
        crowd.wait_for(before + 10 * CLIENTS, &gateway).await;
    }
    println!("the longest answer took {:?}", crowd.disperse());
    // The process is the same, and it runs the file that is there now.
    let runs = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert_eq!(runs, fs::canonicalize(&program).unwrap());
    assert_eq!(gateway.log().matches("stopping, so that another program goes on").count(), UPGRADES);
    // An address that the configuration no longer names does not prevent a start.
    let metrics = gateway.metrics_port;
    gateway.edit(|text| text.replace(&format!("metrics_listen = \"127.0.0.1:{metrics}\"\n"), ""));
    gateway.operate(&["upgrade"]);
    assert_eq!(raw::get(gateway.port, "localhost", "/page", &[]).status(), 200);
    assert!(TcpListener::bind(("127.0.0.1", metrics)).is_ok(), "its socket was closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_would_not_start_does_not_take_over() {
    let app = Upstream::start();
    let (gateway, program) = with_own_program(&app).await;
    let refused = || {
        let output = gateway.cli(&["upgrade"]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.ends_with("The running program stays in place.\n"), "{said}");
        assert_eq!(raw::get(gateway.port, "localhost", "/page", &[]).status(), 200);
        said
    };
    gateway.edit(|text| format!("{text}\nrubbish = 1\n"));
    let said = refused();
    assert!(said.contains("would not start") && said.contains("rubbish"), "{said}");
    gateway.edit(|text| text.replace("rubbish = 1\n", ""));
    install(&program, b"#!/bin/sh\necho broken >&2\nexit 3\n");
    let said = refused();
    assert!(said.contains("exit status: 3") && said.contains("broken"), "{said}");
    fs::remove_file(&program).unwrap();
    assert!(refused().contains("cannot be started"));
    assert_eq!(gateway.log().matches("stopping").count(), 0);
    install(&program, &fs::read(BINARY).unwrap());
    gateway.operate(&["upgrade"]);
}

#[tokio::test]
async fn refuses_an_unclaimed_inherited_socket() {
    let app = Upstream::start();
    let gateway = prepare(&app);
    let stray = port::free();
    let _held = Held::start(&gateway, &[gateway.port, stray]);
    gateway.wait_for_log(&format!("holds a socket for 127.0.0.1:{stray}")).await;
}
