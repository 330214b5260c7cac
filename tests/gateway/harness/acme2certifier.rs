//! Another real certificate authority: acme2certifier, which says when to renew (ARI) and knows
//! profiles.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

use super::port;
use super::tls::Authority;

/// A running authority. It validates nothing, and would have every certificate renewed a second
/// after it was issued.
pub struct Acme2certifier {
    directory: TempDir,
    port: u16,
    child: Child,
}

impl Acme2certifier {
    pub fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let (path, port) = (directory.path().to_path_buf(), port::free());
        let tls = Authority::new();
        tls.issue(&["127.0.0.1".to_owned()], &path);
        fs::write(path.join("tls-ca.pem"), tls.certificate()).unwrap();
        write_issuer(&path);
        fs::write(path.join("acme_srv.cfg"), configuration(&path)).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let library: PathBuf = root.join("target/tools/acme2certifier");
        assert!(library.exists(), "acme2certifier is not there: run tests/run --setup-only");
        let log = fs::File::create(path.join("log")).unwrap();
        let mut child = Command::new("/usr/bin/python3")
            .arg(root.join("tests/support/acme_server.py"))
            .arg(&path)
            .arg(port.to_string())
            .env("PYTHONPATH", library)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.find(|line| line.as_ref().is_ok_and(|line| line == "ready"));
        assert!(ready.is_some(), "it starts: {}", fs::read_to_string(path.join("log")).unwrap());
        // The output is read on, so that the process can write.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { directory, port, child }
    }

    /// Lines for `[server.tls.acme]`.
    pub fn lines(&self) -> Vec<String> {
        let ca = self.directory.path().join("tls-ca.pem");
        vec![
            format!("directory = \"https://127.0.0.1:{}/directory\"", self.port),
            format!("ca_file = \"{}\"", ca.display()),
            "email = \"ops@example.com\"".to_owned(),
        ]
    }

    /// What browsers would trust, in PEM.
    pub fn root(&self) -> String {
        fs::read_to_string(self.directory.path().join("ca.pem")).unwrap()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.directory.path().join("log")).unwrap()).into_owned()
    }
}

impl Drop for Acme2certifier {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<_> = log.lines().rev().take(60).collect();
            eprintln!("--- what acme2certifier said last, newest first ---\n{}", last.join("\n"));
        }
    }
}

fn write_issuer(path: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "Issuer of a test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    let key = KeyPair::generate().unwrap();
    fs::write(path.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(path.join("ca.key"), key.serialize_pem()).unwrap();
}

fn configuration(path: &Path) -> String {
    let path = path.display();
    format!(
        "[DEFAULT]\ndebug: True\n\
         [CAhandler]\nhandler_module: acme2certifier.cahandlers.openssl_ca_handler\n\
         issuing_ca_key: {path}/ca.key\nissuing_ca_cert: {path}/ca.pem\ncert_save_path: {path}\nissuing_ca_crl: {path}/none.crl\ncert_validity_days: 30\n\
         [DBhandler]\nhandler_module: acme2certifier.dbhandlers.wsgi_handler\ndbfile: {path}/acme.db\n\
         [Challenge]\nchallenge_validation_disable: True\n\
         [Order]\nprofiles: {{\"ordinary\": \"the usual\", \"short\": \"for a day\"}}\nprofiles_check_disable: False\n\
         [Renewalinfo]\nrenewalthreshold_pctg: 0\nrenewal_window_duration: 1\nretry_after_timeout: 3600\n"
    )
}
