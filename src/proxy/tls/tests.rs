//! The certificate that answers a name, and taking in changed files.

use std::path::Path;

use super::*;

fn write_pair(folder: &Path, file: &str, names: &[&str]) -> CertificateFiles {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let pair =
        CertificateFiles::given(folder.join(format!("{file}.crt")), folder.join(format!("{file}.key")));
    std::fs::write(&pair.chain, made.cert.pem()).unwrap();
    std::fs::write(&pair.key, made.signing_key.serialize_pem()).unwrap();
    pair
}

#[test]
fn selects_the_covering_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let files = vec![
        write_pair(folder.path(), "a", &["a.example"]),
        write_pair(folder.path(), "wild", &["*.b.example"]),
    ];
    let set = CertificateSet::read(&files).unwrap();
    let index = |name| {
        let found = set.find(name).unwrap();
        set.served.iter().position(|served| Arc::ptr_eq(&served.key, &found)).unwrap()
    };
    assert_eq!(index(Some("a.example")), 0);
    assert_eq!(index(Some("x.b.example")), 1);
    assert_eq!(index(Some("b.example")), 0);
    assert_eq!(index(Some("unknown.example")), 0);
    assert_eq!(index(None), 0);
}

#[test]
fn reports_why_certificates_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let a = write_pair(folder.path(), "a", &["a.example"]);
    let b = write_pair(folder.path(), "b", &["b.example"]);
    let mixed = CertificateFiles::given(a.chain.clone(), b.key.clone());
    assert!(matches!(CertificateSet::read(&[mixed]), Err(CertificateError::Mismatch { .. })));
    let swapped = CertificateFiles::given(a.key.clone(), a.key.clone());
    assert!(matches!(CertificateSet::read(&[swapped]), Err(CertificateError::Chain { .. })));
    let no_key = CertificateFiles::given(a.chain.clone(), a.chain.clone());
    assert!(matches!(CertificateSet::read(&[no_key]), Err(CertificateError::Key { .. })));
    let missing = CertificateFiles::given(folder.path().join("none"), a.key);
    assert!(matches!(CertificateSet::read(&[missing]), Err(CertificateError::Read { .. })));
}

#[test]
fn an_obtained_certificate_is_awaited_until_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("192.0.2.1.pem");
    let files = vec![
        write_pair(folder.path(), "a", &["a.example"]),
        CertificateFiles::obtained("192.0.2.1".to_owned(), file.clone()),
    ];
    let certificates = Certificates::load(files, Arc::default()).unwrap();
    assert!(certificates.is_awaited("192.0.2.1") && !certificates.is_awaited("a.example"));
    assert_eq!(certificates.statuses().iter().filter(|status| status.validity.is_none()).count(), 1);
    let made = rcgen::generate_simple_self_signed(vec!["192.0.2.1".to_owned()]).unwrap();
    let pem = format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem());
    check(&file, pem.as_bytes()).unwrap();
    std::fs::write(&file, pem).unwrap();
    certificates.reread().unwrap();
    assert!(!certificates.is_awaited("192.0.2.1"));
    let unnamed = certificates.current.load().find(None).unwrap();
    assert_eq!(unnamed.cert.first(), Some(made.cert.der()), "a client without a name has an address");
    std::fs::write(&file, "torn").unwrap();
    assert!(certificates.reread().is_err());
    assert!(certificates.current.load().find(None).is_some_and(|kept| Arc::ptr_eq(&kept, &unnamed)));
}

#[test]
fn rereads_only_changed_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let files = vec![write_pair(folder.path(), "a", &["a.example"])];
    let certificates = Certificates::load(files.clone(), Arc::default()).unwrap();
    let before = certificates.current.load_full();
    certificates.replace(CertificateSet::read(&files).unwrap());
    assert!(Arc::ptr_eq(&before, &certificates.current.load_full()));
    write_pair(folder.path(), "a", &["a.example"]);
    certificates.replace(CertificateSet::read(&files).unwrap());
    assert!(!Arc::ptr_eq(&before, &certificates.current.load_full()));
}

#[test]
fn what_is_there_and_cannot_be_read_is_not_awaited() {
    let folder = tempfile::tempdir().unwrap();
    let obtained = |file: &str| CertificateFiles::obtained("a.example".to_owned(), folder.path().join(file));
    assert_eq!(CertificateSet::read(&[obtained("a.pem")]).unwrap().awaited, ["a.example"]);
    std::fs::create_dir(folder.path().join("b.pem")).unwrap();
    assert!(matches!(CertificateSet::read(&[obtained("b.pem")]), Err(CertificateError::Read { .. })));
    assert!(matches!(check(Path::new("a.pem"), b"torn"), Err(CertificateError::Chain { .. })));
}

/// The clock of the runtime goes on as soon as no task is ready.
#[tokio::test(start_paused = true)]
async fn what_changes_on_disk_is_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let files = vec![write_pair(folder.path(), "a", &["a.example"])];
    let certificates = Arc::new(Certificates::load(files.clone(), Arc::default()).unwrap());
    let following = tokio::spawn(Arc::clone(&certificates).follow_files());
    for _ in 0..2 {
        std::fs::write(&files[0].chain, "torn").unwrap();
        let before = certificates.current.load_full();
        tokio::time::sleep(4 * RELOAD_INTERVAL).await;
        assert!(Arc::ptr_eq(&before, &certificates.current.load_full()), "the old one stays in use");
        write_pair(folder.path(), "a", &["a.example"]);
        tokio::time::sleep(4 * RELOAD_INTERVAL).await;
        assert!(!Arc::ptr_eq(&before, &certificates.current.load_full()));
    }
    following.abort();
}

#[tokio::test(start_paused = true)]
async fn what_is_still_being_read_of_files_that_others_have_replaced_is_not_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let old = vec![write_pair(folder.path(), "a", &["a.example"])];
    let new = vec![write_pair(folder.path(), "b", &["b.example"])];
    let certificates = Arc::new(Certificates::load(old.clone(), Arc::default()).unwrap());
    // Reading a pipe waits until a writer has written into it.
    let chain = std::fs::read(&old[0].chain).unwrap();
    std::fs::remove_file(&old[0].chain).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&old[0].chain).status().unwrap();
    assert!(made.success());
    let following = tokio::spawn(Arc::clone(&certificates).follow_files());
    let pipe = old[0].chain.clone();
    let open = move || std::fs::File::options().write(true).open(pipe).unwrap();
    let mut pipe = tokio::task::spawn_blocking(open).await.unwrap();
    certificates.exchange(new.clone(), CertificateSet::read(&new).unwrap());
    let exchanged = certificates.current.load_full();
    std::io::Write::write_all(&mut pipe, &chain).unwrap();
    drop(pipe);
    tokio::time::sleep(3 * RELOAD_INTERVAL).await;
    assert!(Arc::ptr_eq(&exchanged, &certificates.current.load_full()));
    following.abort();
}
