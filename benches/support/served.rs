//! The real gateway, in a directory of its own: laid out once, started as often as a benchmark wants.
//!
//! What does not live here: the content of its store (`filling.rs`). What always holds: limits that
//! would stop a benchmark are raised here and nowhere else, and all other settings are the
//! defaults.
#![allow(dead_code, reason = "each benchmark uses its own part of this file")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::process::{PROXY_CORE, Running, free_address};

/// How often the benchmark looks whether the gateway answers.
const LOOK_EVERY: Duration = Duration::from_micros(500);
/// A store of a million people takes long to open.
const START_WAIT_MAX: Duration = Duration::from_mins(5);

/// The raised limits, for a load that comes from one machine.
pub const LIMITS: &str = "network_burst = 1000000\nnetwork_per_second = 1000000\nconnections_per_network = 16384\n\
                          pending = 100000\npending_per_network = 100000\n";

/// A gateway that can be started.
pub struct Laid {
    binary: PathBuf,
    folder: PathBuf,
    pub address: SocketAddr,
}

impl Laid {
    /// Writes the configuration into `folder`. Every peer may say for which client it asks.
    pub fn out(binary: &Path, folder: &Path, engine: &str, application: SocketAddr) -> Self {
        fs::create_dir_all(folder).unwrap();
        let address = free_address();
        let laid = Self { binary: binary.to_owned(), folder: folder.to_owned(), address };
        let (port, folder) = (address.port(), folder.display());
        let config = format!(
            "public_url = \"http://localhost:{port}\"\n\
             [server]\nlisten = [\"{address}\"]\nmetrics_listen = \"\"\nadmin_socket = \"{folder}/admin.sock\"\n\
             workers = 1\ntrusted_proxies = [\"127.0.0.1\"]\n[limits]\n{LIMITS}\
             [log]\nlevel = \"error\"\n[dialects]\nbetter_auth = true\n\
             [store]\nengine = \"{engine}\"\npath = \"{folder}/data\"\n\
             [[route]]\nname = \"bench\"\nhost = \"localhost\"\nupstream = [\"http://{application}\"]\n\
             allow = [\"user\"]\n"
        );
        fs::write(laid.config(), config).unwrap();
        laid
    }

    pub fn origin(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts it, and says how long it took to answer. Its audit log goes nowhere.
    pub fn start(&self) -> (Running, Duration) {
        let (binary, config) = (self.binary.to_str().unwrap(), self.config());
        let began = Instant::now();
        let words = [binary, "serve", "--config", config.to_str().unwrap()];
        let running = Running::start_silent(PROXY_CORE, &words);
        while !self.answers() {
            assert!(began.elapsed() < START_WAIT_MAX, "the gateway does not answer");
            std::thread::sleep(LOOK_EVERY);
        }
        (running, began.elapsed())
    }

    fn answers(&self) -> bool {
        let Ok(mut connection) = TcpStream::connect(self.address) else { return false };
        let host = self.address.port();
        let request =
            format!("GET /auth/health HTTP/1.1\r\nHost: localhost:{host}\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        let asked =
            connection.write_all(request.as_bytes()).and_then(|()| connection.read_to_string(&mut answer));
        asked.is_ok() && answer.starts_with("HTTP/1.1 200 ")
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }
}
